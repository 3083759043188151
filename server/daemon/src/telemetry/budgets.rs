//! The day's budgets as figures.

use prometheus::GaugeVec;

use crate::budget::DayBudget;

/// Modules that are shown by name.
const MODULES: usize = 100;

/// Limit, spent and reserved of each budget.
#[derive(Debug)]
pub(super) struct BudgetGauges {
    pub(super) limit: GaugeVec,
    pub(super) spent: GaugeVec,
    pub(super) reserved: GaugeVec,
}

impl BudgetGauges {
    /// Shows these budgets and no others.
    pub(super) fn show(&self, days: &[DayBudget]) {
        for gauge in [&self.limit, &self.spent, &self.reserved] {
            gauge.reset();
        }
        for day in days.iter().take(MODULES + 1) {
            let labels = [day.scope.as_str(), day.name.as_str()];
            self.limit.with_label_values(&labels).set(day.limit_usd);
            self.spent.with_label_values(&labels).set(day.spent_usd);
            self.reserved.with_label_values(&labels).set(day.reserved_usd);
        }
    }
}

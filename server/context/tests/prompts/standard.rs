//! The modules that come with the server.

use claude_comms_context::{Composer, DEFAULT_TOKEN_BUDGET, Focus};
use claude_comms_descriptors::{TemplateFiles, parse};

use crate::scenes::scene;

const STANDARD: [&str; 3] = [
    include_str!("../../../../descriptors/standard/arangodb.yaml"),
    include_str!("../../../../descriptors/standard/claude_mcp.yaml"),
    include_str!("../../../../descriptors/standard/marker.yaml"),
];

#[test]
fn every_pair_of_standard_modules_fits_the_usual_budget_with_its_roles() {
    let modules = STANDARD.map(|text| parse(text, TemplateFiles::Refused).unwrap().descriptor);
    for target in &modules {
        for source in modules.iter().map(Some).chain([None]) {
            let composer = Composer::new(scene(source.cloned(), Some(target.clone()))).unwrap();
            let system =
                composer.system_prompt(Focus { prompt: "Where do tables go?", capability: None }).unwrap();
            assert!(system.report.tokens <= DEFAULT_TOKEN_BUDGET * 3 / 4);
            let role = target.context.role.lines().next().unwrap();
            assert!(
                system.text.contains(&claude_comms_context::templates::escape::data(role)),
                "{}",
                target.name
            );
            assert!(
                system.report.sections.iter().any(|section| section.name == "capabilities"),
                "{}",
                target.name
            );
        }
    }
}

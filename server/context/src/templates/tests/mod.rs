//! The promises of a namespace of templates.

mod bounds;
mod escaping;
mod namespace;
mod parameters;

use minijinja::{Value, context};

use super::{Layer, RenderError, RenderLimits, TemplateRecord, Templates};

fn record(layer: Layer, name: &str, text: &str) -> TemplateRecord {
    TemplateRecord { layer, name: name.to_owned(), text: text.to_owned() }
}

fn one(text: &str) -> Templates {
    Templates::new(vec![record(Layer::BuiltIn, "t", text)]).expect("a namespace of one")
}

fn try_render(text: &str, variables: Value) -> Result<String, RenderError> {
    one(text).render("t", variables, RenderLimits::default())
}

fn render(text: &str, variables: Value) -> String {
    try_render(text, variables).expect("a rendering")
}

#[test]
fn a_namespace_is_shared_by_threads_and_cheap_to_clone() {
    fn shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    let templates = one("Hello {{ name }}");
    shared(&templates);
    let other = templates.clone();
    let text =
        std::thread::spawn(move || other.render("t", context! { name => "you" }, RenderLimits::default()));
    assert_eq!(text.join().unwrap().unwrap(), "Hello you");
    assert_eq!(templates.names().len(), 1);
}

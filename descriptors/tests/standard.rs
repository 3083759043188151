//! The standard modules are right.

use std::{fs, path::Path};

use claude_comms_descriptors::{TemplateFiles, parse, standard, standard_text};

#[test]
fn the_standard_modules_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("standard");
    let mut valid = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder") {
        let file = entry.expect("an entry").path();
        if file.extension().is_some_and(|extension| extension == "yaml") {
            let name = file.file_name().expect("a name").to_string_lossy().into_owned();
            let text = fs::read_to_string(&file).expect("the file");
            let parsed = parse(&text, TemplateFiles::Refused).unwrap_or_else(|problems| {
                let told: Vec<String> = problems.iter().map(|problem| problem.located(&name)).collect();
                panic!("{}", told.join("\n"))
            });
            assert_eq!(parsed.warnings, [], "{name}");
            valid.push(parsed.descriptor);
        }
    }
    assert_eq!(valid.len(), standard().len(), "every file in standard/ is built in");
    for descriptor in standard() {
        assert!(valid.contains(descriptor), "{}", descriptor.name);
        let text = standard_text(&descriptor.name).expect("its text");
        assert!(text.contains(&descriptor.description[..20]));
    }
    assert!(standard_text("nobody").is_none());
}

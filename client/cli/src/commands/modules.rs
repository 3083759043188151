//! Modules: register, list, show, unregister, find.

use std::path::Path;

use claude_comms_client::v1;
use claude_comms_descriptors::{Descriptor, canonical_json, to_yaml};

use super::{PAGE_SIZE, pages, validate};
use crate::{
    args::{DiscoverModules, Format, RegisterModule, ShowModule},
    context::Context,
    exit::{Exit, Failure},
    output::{module_views, printable},
    suggest::command,
};

/// The descriptor of a module whose folder alone is named.
const DESCRIPTOR_FILE: &str = "claude-comms.module.yaml";

pub(super) async fn register(context: &mut Context<'_>, register: RegisterModule) -> Result<Exit, Failure> {
    let path = std::path::absolute(&register.path)
        .map_err(|error| Failure::new(Exit::Usage, format!("--path {}: {error}", register.path.display())))?;
    let file = register.desc.unwrap_or_else(|| path.join(DESCRIPTOR_FILE));
    let parsed = match validate::read(&file) {
        Ok(parsed) => parsed,
        Err(problems) => {
            for line in validate::problem_lines(&file, &problems) {
                context.ui.line(&line);
            }
            return Ok(Exit::Failed);
        }
    };
    if parsed.descriptor.name != register.name {
        let (wanted, found) = (printable(&register.name), &parsed.descriptor.name);
        let message = format!("{} describes {found}, not {wanted}", file.display());
        return Err(Failure::new(Exit::Usage, message).hint(format!("register it as {found}")));
    }
    if !path.exists() {
        context.ui.warning(&format!("{} does not exist on this machine", path.display()));
    }
    let request = v1::RegisterModuleRequest {
        name: register.name,
        // The shortest form: templates that were inlined count towards the limit too.
        descriptor: canonical_json(&parsed.descriptor),
        path: text_of(&path)?,
        force: register.force,
    };
    let module = context.patience.wait(context.client.register_module(request)).await.map_err(|failure| {
        if failure.message.starts_with("MODULE_VERSION_LOWER") {
            failure.hint("--force registers it all the same")
        } else {
            failure
        }
    })?;
    for warning in &module.warnings {
        context.ui.warning(warning);
    }
    context.ui.resource(&module)?;
    Ok(Exit::Done)
}

fn text_of(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Failure::new(Exit::Usage, format!("--path {} is not UTF-8", path.display())))
}

pub(super) async fn list(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let modules = pages(async |page_token| {
        let request = v1::ListModulesRequest { page_size: PAGE_SIZE, page_token, ..Default::default() };
        let page = context.patience.wait(context.client.list_modules(request)).await?;
        Ok((page.modules, page.next_page_token))
    })
    .await?;
    let list = v1::ListModulesResponse { modules, next_page_token: String::new() };
    context.ui.list(&list, || module_views::modules(&list.modules))?;
    if list.modules.is_empty() {
        context.ui.note(&format!("no module yet; {}", how_to_register()));
    }
    Ok(Exit::Done)
}

fn how_to_register() -> String {
    format!("register one with: {}", command("register-module NAME --path PATH --desc FILE"))
}

pub(super) async fn show(context: &mut Context<'_>, show: ShowModule) -> Result<Exit, Failure> {
    let request = v1::GetModuleRequest {
        name: show.name,
        version: show.version.unwrap_or_default(),
        revision: show.revision.unwrap_or_default(),
    };
    let module = context.patience.wait(context.client.get_module(request)).await?;
    if show.descriptor {
        descriptor(context, &module)?;
    } else {
        context.ui.resource(&module)?;
    }
    Ok(Exit::Done)
}

/// Prints the descriptor in the form it is written in.
fn descriptor(context: &Context<'_>, module: &v1::Module) -> Result<(), Failure> {
    if module.truncated_fields.iter().any(|field| field == "descriptor_json") {
        return Err(Failure::new(Exit::Failed, "the descriptor is longer than what one answer holds"));
    }
    if context.ui.format == Format::Json {
        return context.ui.json_text(&module.descriptor_json);
    }
    match serde_json::from_str::<Descriptor>(&module.descriptor_json) {
        Ok(descriptor) => context.ui.write(&to_yaml(&descriptor)),
        // A server that is newer may have keys that this program does not know.
        Err(_) => context.ui.yaml_text(&module.descriptor_json),
    }
}

pub(super) async fn unregister(context: &mut Context<'_>, name: String) -> Result<Exit, Failure> {
    let module = context.patience.wait(context.client.unregister_module(name)).await?;
    context.ui.resource(&module)?;
    Ok(Exit::Done)
}

pub(super) async fn discover(context: &mut Context<'_>, find: DiscoverModules) -> Result<Exit, Failure> {
    let filter = v1::DiscoverModulesRequest {
        capability: find.capability.unwrap_or_default(),
        data_type: find.data_type.unwrap_or_default(),
        tags: find.tags,
        text: find.text.unwrap_or_default(),
        ..Default::default()
    };
    let mut total = 0;
    let modules = pages(async |page_token| {
        let request = v1::DiscoverModulesRequest { page_size: PAGE_SIZE, page_token, ..filter.clone() };
        let page = context.patience.wait(context.client.discover_modules(request)).await?;
        total = page.total;
        Ok((page.modules, page.next_page_token))
    })
    .await?;
    let list = v1::DiscoverModulesResponse { modules, next_page_token: String::new(), total };
    context.ui.list(&list, || module_views::discovered(&list.modules))?;
    if list.modules.is_empty() {
        let see = command("list-modules");
        context.ui.note(&format!("no module fits; see all with: {see}"));
    }
    Ok(Exit::Done)
}

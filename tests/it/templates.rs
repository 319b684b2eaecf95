//! Templates, as receivers and the people who write them see them.

use triggerbell::adapters::templates::{Settings, Templates};

#[test]
fn the_shipped_templates_serve_every_type() {
    use triggerbell::adapters::templates::ReceiverType;

    let settings = Settings { zone: jiff::tz::TimeZone::UTC, public_url: None };
    let templates = Templates::load(None, settings).expect("the shipped templates are sound");
    for name in ["default", "default-zh"] {
        for &kind in ReceiverType::ALL {
            templates.check_use(name, kind).expect("the template serves the type");
        }
    }
}

//! Any bytes as the body of `/run`, to each stage: no panic, always JSON, 200 never without an object or array.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use fraudml::scoring::bundle::Bundle;
use fraudml::scoring::scorer::Scorer;
use fraudml::scoring::stage::Stage;
use fraudml::serving::protocol::Action;
use libfuzzer_sys::fuzz_target;

static ACTIONS: LazyLock<Vec<Action>> = LazyLock::new(|| {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/bundle_of_leaf_values");
    let action = |stage| {
        let bundle = bundle.clone();
        Action::new(Some(stage), move || Bundle::load(&bundle).and_then(Scorer::new))
    };
    Stage::ALL.map(action).into()
});

fuzz_target!(|body: &[u8]| {
    for action in ACTIONS.iter() {
        let reply = action.reply("POST", "/run", body);
        assert!(matches!(reply.status, 200 | 400 | 404), "{}", reply.status);
        assert!(reply.body.len() <= 1 << 20 && reply.body.starts_with('{') && reply.body.ends_with('}'));
    }
});

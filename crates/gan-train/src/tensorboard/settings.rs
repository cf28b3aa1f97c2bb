//! The settings of a run, as text and as hyperparameters.

use std::collections::BTreeMap;

use prost::Message;

use super::proto::{
    Datum, Dim, Hparam, HparamKind, Hparams, Metadata, PluginData, Session, SessionEnd, SessionStart, Shape, Tensor,
    Value,
};

/// What event files say of a run beside its events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// The method, spelt as on the command line.
    pub method: String,
    /// The command line.
    pub argv: Vec<String>,
    /// The configuration, all tables with all values.
    pub table: toml::Table,
    /// The same as a file: `config.toml`.
    pub text: String,
}

impl Settings {
    /// The summaries that a file begins with.
    pub(super) fn values(&self, time: f64) -> Vec<Value> {
        let indented = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
        let command = self.argv.join(" ");
        let about = format!("Method: {}\n\nCommand:\n\n{}", self.method, indented(&command));
        let start = SessionStart { hparams: self.hparams(), start_time: time };
        vec![
            text("run", &about),
            text("config.toml", &indented(&self.text)),
            hparams("_hparams_/session_start_info", Session::Start(start)),
        ]
    }

    /// Numbers, texts and switches of the configuration by dotted key.
    fn hparams(&self) -> BTreeMap<String, Hparam> {
        let mut found = BTreeMap::new();
        let method = HparamKind::Text(self.method.clone());
        found.insert("method".to_owned(), Hparam { kind: Some(method) });
        gather("", &self.table, &mut found);
        found
    }
}

fn gather(prefix: &str, table: &toml::Table, into: &mut BTreeMap<String, Hparam>) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        let kind = match value {
            toml::Value::Integer(n) => HparamKind::Number(*n as f64),
            toml::Value::Float(x) => HparamKind::Number(*x),
            toml::Value::Boolean(b) => HparamKind::Bool(*b),
            toml::Value::String(text) => HparamKind::Text(text.clone()),
            toml::Value::Table(inner) => {
                gather(&format!("{key}."), inner, into);
                continue;
            }
            other => HparamKind::Text(other.to_string()),
        };
        into.insert(key, Hparam { kind: Some(kind) });
    }
}

/// That the run came to its end.
pub(super) fn ended(time: f64) -> Value {
    let end = SessionEnd { status: SessionEnd::SUCCESS, end_time: time };
    hparams("_hparams_/session_end_info", Session::End(end))
}

/// Markdown for the dashboard of texts.
fn text(tag: &str, markdown: &str) -> Value {
    let shape = Shape { dims: vec![Dim { size: 1 }] };
    let tensor = Tensor {
        dtype: Tensor::STRING,
        shape: Some(shape),
        strings: vec![markdown.as_bytes().to_vec()],
        ..Tensor::default()
    };
    of_plugin(tag, "text", Vec::new(), tensor)
}

fn hparams(tag: &str, session: Session) -> Value {
    let content = Hparams { version: 0, session: Some(session) }.encode_to_vec();
    // The plugin reads what stands in the metadata; the value is an empty tensor.
    let nothing =
        Tensor { dtype: Tensor::FLOAT, shape: Some(Shape { dims: vec![Dim { size: 0 }] }), ..Tensor::default() };
    of_plugin(tag, "hparams", content, nothing)
}

fn of_plugin(tag: &str, plugin: &str, content: Vec<u8>, tensor: Tensor) -> Value {
    let plugin = PluginData { name: plugin.to_owned(), content };
    let metadata = Metadata { plugin: Some(plugin), data_class: Metadata::TENSOR };
    Value { tag: tag.to_owned(), metadata: Some(metadata), datum: Some(Datum::Tensor(tensor)) }
}

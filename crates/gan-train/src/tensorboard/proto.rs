//! The messages of an event file, as far as they are written: `event.proto`, `summary.proto` and `tensor.proto` of TensorFlow,
//! `plugin_data.proto` of TensorBoard's hparams plugin. Numbers of fields are those of the published definitions.

use std::collections::BTreeMap;

use prost::{Message, Oneof};

/// One record of the file.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub(super) wall_time: f64,
    #[prost(int64, tag = "2")]
    pub(super) step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    pub(super) what: Option<What>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum What {
    /// Only in the first record.
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

/// What is read back of a record.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StepOf {
    #[prost(int64, tag = "2")]
    pub(super) step: i64,
}

/// That training begins at a step: what a reader has of it or of later ones is void.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionLog {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

impl SessionLog {
    pub(super) const START: i32 = 1;
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(string, tag = "1")]
    pub(super) tag: String,
    #[prost(message, optional, tag = "9")]
    pub(super) metadata: Option<Metadata>,
    #[prost(oneof = "Datum", tags = "2, 4, 8")]
    pub(super) datum: Option<Datum>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Datum {
    #[prost(float, tag = "2")]
    Scalar(f32),
    #[prost(message, tag = "4")]
    Image(Image),
    #[prost(message, tag = "8")]
    Tensor(Tensor),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Image {
    #[prost(int32, tag = "1")]
    pub(super) height: i32,
    #[prost(int32, tag = "2")]
    pub(super) width: i32,
    /// 3 for RGB.
    #[prost(int32, tag = "3")]
    pub(super) colorspace: i32,
    /// A PNG file.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) encoded: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metadata {
    #[prost(message, optional, tag = "1")]
    pub(super) plugin: Option<PluginData>,
    #[prost(int32, tag = "4")]
    pub(super) data_class: i32,
}

impl Metadata {
    /// `DATA_CLASS_TENSOR`.
    pub(super) const TENSOR: i32 = 2;
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PluginData {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) content: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Tensor {
    #[prost(int32, tag = "1")]
    pub(super) dtype: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<Shape>,
    #[prost(float, repeated, tag = "5")]
    pub(super) floats: Vec<f32>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub(super) strings: Vec<Vec<u8>>,
}

impl Tensor {
    /// `DT_FLOAT`.
    pub(super) const FLOAT: i32 = 1;
    /// `DT_STRING`.
    pub(super) const STRING: i32 = 7;
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Shape {
    #[prost(message, repeated, tag = "2")]
    pub(super) dims: Vec<Dim>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Dim {
    #[prost(int64, tag = "1")]
    pub(super) size: i64,
}

/// What the hparams plugin keeps in a summary.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Hparams {
    #[prost(int32, tag = "1")]
    pub(super) version: i32,
    #[prost(oneof = "Session", tags = "3, 4")]
    pub(super) session: Option<Session>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Session {
    #[prost(message, tag = "3")]
    Start(SessionStart),
    #[prost(message, tag = "4")]
    End(SessionEnd),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionStart {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) hparams: BTreeMap<String, Hparam>,
    #[prost(double, tag = "5")]
    pub(super) start_time: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionEnd {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
    #[prost(double, tag = "2")]
    pub(super) end_time: f64,
}

impl SessionEnd {
    /// `STATUS_SUCCESS`.
    pub(super) const SUCCESS: i32 = 1;
}

/// `google.protobuf.Value`, as far as settings need it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Hparam {
    #[prost(oneof = "HparamKind", tags = "2, 3, 4")]
    pub(super) kind: Option<HparamKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum HparamKind {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Bool(bool),
}

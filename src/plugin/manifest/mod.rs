//! `plugin.toml` as it is written: the keys of `docs/PLUGINS.md`, nothing decided yet. `compile` makes it runnable.

mod auth;
mod base;
mod field;
mod handshake;
mod hook;
mod lookup;
mod map;
mod param;
mod poll;
mod receive;
mod request;
mod responses;
mod root;
mod several;
mod subscribe;
mod value;
mod verify;
mod write_back;

pub use auth::{AuthKind, AuthSpec, ConnectSpec, ConnectTokenSpec, JwtAlgorithm, JwtSpec, LoginSpec, Refresh};
pub use base::{BaseSpec, Limits, RemainingSpec};
pub use field::FieldSpec;
pub use handshake::{HandshakeAnswer, HandshakeSpec};
pub use hook::HookSpec;
pub use lookup::{BatchSpec, Field, LookupSpec, When};
pub use map::{GenderSpec, MapSpec, OccurredAtSpec};
pub use param::{Ends, Parameter, ParameterKind, ParameterScope};
pub use poll::{AckSpec, CursorSpec, PollSpec};
pub use receive::{
    AnswerSpec, Answers, BodyKind, ChangedSpec, Content, IgnoreCode, IgnoreSpec, ItemsSpec, LoopGuardSpec, ReceiveSpec, RetryUnit, SelectSpec, SenderRetries,
};
pub use request::{RequestParts, SignKind, SignSpec};
pub use responses::{RequestKind, ResponseClass, ResponseSpec, RetryAfterSpec, RetryAfterTable, WaitUnit};
pub use root::{Evidence, Level, Manifest, Words, WriteBackSpec};
pub use several::{ModeSpec, OneOrMany, Several};
pub use subscribe::{SubscribeRequestSpec, SubscribeSpec, SubscriptionSecret};
pub use value::{At, ConditionSpec, Conditions, IfSpec, Op, StatusSpec, ValueSpec};
pub use verify::{Algorithm, Encoding, IfHeader, KeyEncoding, TimestampSpec, TimestampUnit, VerifyKind, VerifyRef, VerifySpec};
pub use write_back::{FindSpec, Identity, KindSpec, StepSpec};

//! Renewing locks, by the queue's management node.

use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::definitions::ErrorCondition;
use fe2o3_amqp::types::messaging::{AmqpValue, Body, Message};
use fe2o3_amqp::types::primitives::{Array, OrderedMap, Value};
use fe2o3_amqp_management::client::MgmtClient;
use fe2o3_amqp_management::error::Error as Failed;
use fe2o3_amqp_management::request::Request;
use fe2o3_amqp_management::response::Response;
use tokio::time::timeout;
use uuid::Uuid;

use super::Fault;
use super::line::{PATIENCE, gone};

/// What the broker calls a lock that has ended.
pub(super) const LOST: &str = "com.microsoft:message-lock-lost";
/// The status that says the same.
const STATUS_GONE: u16 = 410;

/// The management node of one queue.
#[derive(Debug)]
pub(super) struct Locks(MgmtClient);

struct Renew(Uuid);

struct Renewed(i64);

impl Request for Renew {
    const OPERATION: &'static str = "com.microsoft:renew-lock";
    type Response = Renewed;
    type Body = OrderedMap<String, Value>;

    fn encode_body(self) -> Self::Body {
        let token = Value::Uuid(self.0.into_bytes().into());
        let mut body = OrderedMap::new();
        body.insert("lock-tokens".to_owned(), Value::Array(Array::from(vec![token])));
        body
    }
}

impl Response for Renewed {
    const STATUS_CODE: u16 = 200;
    // A refusal may come with any body, or none.
    type Body = Body<Value>;
    type Error = Failed;

    fn decode_message(message: Message<Self::Body>) -> Result<Self, Failed> {
        let Body::Value(AmqpValue(Value::Map(body))) = message.body else { return Err(Failed::DecodeError(None)) };
        let Some(Value::Array(times)) = body.get(&Value::String("expirations".to_owned())) else {
            return Err(Failed::DecodeError(None));
        };
        match times.0.first() {
            Some(Value::Timestamp(at)) => Ok(Self(at.milliseconds())),
            Some(_) | None => Err(Failed::DecodeError(None)),
        }
    }
}

impl Locks {
    pub(super) async fn attach(session: &mut SessionHandle<()>, queue: &str) -> Result<Self, Fault> {
        let name = format!("locks-{}", Uuid::now_v7());
        let attached = MgmtClient::builder()
            .management_node_address(format!("{queue}/$management"))
            .client_node_addr(name)
            .attach(session);
        let late = |_elapsed| Fault::Gone("it did not answer in time".to_owned());
        timeout(PATIENCE, attached).await.map_err(late)?.map(Self).map_err(gone)
    }

    /// Gives when the lock ends by the broker's clock, in milliseconds since 1970.
    pub(super) async fn renew(&mut self, lock: Uuid) -> Result<i64, Fault> {
        let late = |_elapsed| Fault::Gone("it did not answer in time".to_owned());
        match timeout(PATIENCE, self.0.call(Renew(lock))).await.map_err(late)? {
            Ok(Renewed(until)) => Ok(until),
            Err(Failed::Status(status)) if status.code.0.get() == STATUS_GONE => Err(Fault::LockLost),
            Err(Failed::Status(status)) => Err(Fault::Refused(format!("to renew a lock ({})", status.code.0))),
            Err(error) => Err(gone(error)),
        }
    }
}

/// The word for an error, whichever kind the library takes it for.
pub(super) fn condition(condition: &ErrorCondition) -> String {
    match condition {
        ErrorCondition::Custom(word) => word.0.clone(),
        ErrorCondition::AmqpError(_)
        | ErrorCondition::ConnectionError(_)
        | ErrorCondition::SessionError(_)
        | ErrorCondition::LinkError(_) => format!("{condition:?}"),
    }
}

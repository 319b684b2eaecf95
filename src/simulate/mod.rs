//! Stand-ins for the world outside: a registry with a trigger log, and a wall that plays chat.
//!
//! Three parts, none with any global state, so that several live in one process:
//! - [`World`] holds the trigger logs; [`Registry`] serves them, signed, in both generations of
//!   the API, and fails on request ([`FAULTS`]); [`Feed`] pushes images into the world.
//! - [`Wall`] plays Slack's incoming webhooks and apps, WeCom's group robots and apps, and any
//!   webhook, and shows in a browser what people would see, beside what the trigger log said.
//! - [`Demo`] is both at once, with a feed between: everything that the `demo` command needs but
//!   the service itself.
//!
//! The `demo` command, and any test that wants the whole, does this:
//!
//! ```no_run
//! # async fn f() -> std::io::Result<()> {
//! use tokio_util::sync::CancellationToken;
//! use triggerbell::simulate::{Demo, DemoSettings};
//!
//! let stop = CancellationToken::new();
//! let demo = Demo::start(DemoSettings::default(), &stop).await?;
//! println!("open {}", demo.wall().url());
//! // The service's configuration comes from these:
//! let _source = (demo.registry().ccr_endpoint(), demo.registry().credentials(), demo.world().repos());
//! let _slack = demo.wall().slack_webhook_url();
//! let _wecom = (demo.wall().wecom_base_url(), demo.wall().wecom_key());
//! // A line for each message that arrives:
//! let mut messages = demo.wall().messages();
//! while let Ok(message) = messages.recv().await {
//!     println!("{} {}", message.channel, message.summary);
//!     // What the page's header shows of the service is the service's to say:
//!     demo.wall().report(triggerbell::simulate::ServiceCounts { seen: 1, matched: 1, delivered: 1 });
//! }
//! demo.stop().await;
//! # Ok(()) }
//! ```
//!
//! Deliberately absent: anything of the service (it must be met as a stranger would meet it, over
//! HTTP), and TLS.

mod answer;
mod demo;
pub mod enterprise;
pub mod faults;
pub mod feed;
mod gate;
mod question;
mod refusal;
pub mod registry;
mod serve;
mod story;
pub mod wall;
pub mod world;

pub use demo::{Demo, DemoSettings};
pub use enterprise::{Hook, Offsets, REGISTRY_ID, call_hook};
pub use faults::{FAULTS, Fault, FaultChance, Faults};
pub use feed::{Feed, Rate};
pub use registry::{Credentials, Registry, RegistrySettings};
pub use serve::Now;
pub use wall::{Channel, Place, ServiceCounts, Wall, WallCounts, WallMessage, WallSettings};
pub use world::{Counts, RowRef, World};

//! A notice of a hold that is gone, told again after a crash: that it was heard is written with the next flush, and was lost.

use tallystick_app::port::operator::{NodeOperator, Payment, PaymentStatus};
use tallystick_app::port::rail::{HoldRail, RailNotice};
use tallystick_core::{Msat, PaymentHash};
use tallystick_devnet::{PartyError, wait_until};
use tokio::task::JoinHandle;

use crate::stage::{HOLD_BLOCKS, Stage, msat};

const PAYOUT: u64 = 40_000_000;
const HOLD: u64 = 40_400_000;

/// A hold that was refused, with its notice kept so that it can be told again.
struct Refused {
    stage: Stage,
    /// The payee's invoice.
    bolt11: String,
    hash: PaymentHash,
    /// The hold's invoice.
    invoice: String,
    notice: RailNotice,
}

impl Refused {
    async fn new() -> Self {
        let stage = Stage::new().await;
        let (bolt11, hash) = stage.worker_invoice(msat(PAYOUT)).await;
        let invoice = stage.hold_invoice(hash, msat(HOLD), HOLD_BLOCKS).await;
        stage.recorder().deafen(true);
        let payment = stage.pay(&invoice).await;
        wait_until("the hold to be told of", async || Ok(!stage.recorder().refused().is_empty())).await.unwrap();
        let notice = stage.recorder().refused().swap_remove(0);
        assert!(matches!(notice, RailNotice::HoldLocked { hash: told, .. } if told == hash), "{notice:?}");
        let refused = Self { stage, bolt11, hash, invoice, notice };
        refused.sql("CREATE TABLE kept AS SELECT * FROM notices");
        refused.stage.recorder().forget(&hash);
        refused.stage.recorder().deafen(false);
        assert_eq!(payment.await.unwrap().unwrap().status, PaymentStatus::Failed);
        refused.stage.recorder().expect(hash);
        refused
    }

    fn sql(&self, text: &str) {
        let connection = rusqlite::Connection::open(self.stage.platform.dir().join("lightning.sqlite")).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        connection.execute_batch(text).unwrap();
    }

    fn waiting(&self) -> u32 {
        let connection = rusqlite::Connection::open(self.stage.platform.dir().join("lightning.sqlite")).unwrap();
        connection.query_row("SELECT count(*) FROM notices", [], |row| row.get(0)).unwrap()
    }

    /// Starts the node again as after a crash that came before the notice counted as heard, and waits until all are.
    async fn crash(&mut self) {
        self.stage.platform.stop().await;
        assert_eq!(self.waiting(), 0, "all was heard");
        self.sql("INSERT INTO notices SELECT * FROM kept; DROP TABLE kept");
        self.stage.platform.start_again().await;
        let node = &self.stage.platform.node;
        wait_until("the notices to be heard", async || {
            // What was heard goes to the disk with the next flush.
            node.new_address().await?;
            Ok(self.waiting() == 0)
        })
        .await
        .unwrap();
    }

    /// How often the refused hold was told of.
    fn told(&self) -> usize {
        self.stage.recorder().heard().iter().filter(|notice| **notice == self.notice).count()
    }

    /// The payer pays again, and the hold is wanted this time.
    async fn hold_again(&self) -> JoinHandle<Result<Payment, PartyError>> {
        self.stage.until_usable("payer").await;
        // Another deadline: it is another hold.
        self.stage.mine(2).await;
        let payment = self.stage.pay(&self.invoice).await;
        let is_other = |notice: &RailNotice| {
            matches!(notice, RailNotice::HoldLocked { hash, .. } if *hash == self.hash) && *notice != self.notice
        };
        self.stage.recorder().until("the second hold", is_other).await;
        payment
    }

    async fn holds(&self) -> Vec<(PaymentHash, Msat)> {
        self.stage.platform.node.holds().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_was_refused_does_not_pull_down_the_one_in_its_place() {
    let mut refused = Refused::new().await;
    let payment = refused.hold_again().await;
    refused.stage.recorder().refuse(refused.notice.clone());
    refused.crash().await;
    assert_eq!(refused.holds().await, [(refused.hash, msat(HOLD))]);
    assert_eq!(refused.told(), 1, "it was told of before the crash, and not after it");

    for name in ["payer", "payee"] {
        refused.stage.until_usable(name).await;
    }
    refused.stage.platform.node.pay(refused.stage.payout(1, &refused.bolt11)).await.unwrap();
    refused.stage.recorder().until_claimed(refused.hash).await;
    assert_eq!(payment.await.unwrap().unwrap().status, PaymentStatus::Succeeded);
    refused.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_went_back_is_not_told_of_to_a_listener_that_wants_it_now() {
    let mut refused = Refused::new().await;
    refused.crash().await;
    assert_eq!(refused.told(), 1, "nothing is held");
    assert_eq!(refused.holds().await, []);

    // The next one is told of as any other.
    let payment = refused.hold_again().await;
    assert_eq!(refused.holds().await, [(refused.hash, msat(HOLD))]);
    refused.stage.platform.node.cancel_hold(refused.hash).await.unwrap();
    assert_eq!(payment.await.unwrap().unwrap().status, PaymentStatus::Failed);
    refused.stage.stop().await;
}

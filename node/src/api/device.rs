//! `device_*`: the devices of the home's account.

use super::NodeApi;
use crate::jobs::host;
use crate::shown::{from_hex, hex, stopping};
use larder_engine::head::Revocation;
use larder_engine::standing::DeviceState;
use larder_engine::{Command, DeviceCommand, Engine, Input};
use larder_rpc::{
    Code, DeviceList, DeviceMethods, DeviceShown, DeviceStanding, Empty, Moment,
    RevokeDeviceParams, RpcError, Text,
};
use larder_types::{Time, codec};

impl DeviceMethods for NodeApi {
    async fn device_list(&self, _: Empty) -> Result<DeviceList, RpcError> {
        self.devices().await
    }

    async fn device_revoke(&self, params: RevokeDeviceParams) -> Result<DeviceList, RpcError> {
        let wrong = |why: &dyn std::fmt::Display| RpcError::new(Code::BadValue, why);
        let bytes = from_hex(&params.revocation);
        let bytes = bytes.ok_or_else(|| wrong(&"a revocation is `0x` and hex"))?;
        let revocation: Revocation = codec::decode(&bytes).map_err(|e| wrong(&e))?;
        let authority = self.jobs.vault.authority();
        let good = authority
            .is_some_and(|a| revocation.verify(&self.account, &a.admin, &self.genesis.hash()));
        if !good {
            let why = "the revocation is not signed by this account's words";
            return Err(RpcError::new(Code::WrongWords, why));
        }
        if revocation.device.0 == self.recovery.device {
            let why = "this is the device itself: revoke it from another one of the account";
            return Err(RpcError::new(Code::BadSelection, why));
        }
        let revoke = Command::Device(DeviceCommand::Revoke(revocation));
        let told = self.driver.input(Input::Command(revoke)).await;
        told.map_err(stopping)?;
        self.devices().await
    }
}

impl NodeApi {
    async fn devices(&self) -> Result<DeviceList, RpcError> {
        let look = |e: &Engine| {
            let ours = e.contracts().iter().filter(|c| c.rented).count();
            (
                e.devices(),
                e.head_state(),
                e.own_certificate(),
                ours,
                e.is_put_out(),
            )
        };
        let (others, head, until, all, is_out) = self.engine(look).await?;
        let theirs: usize = others.iter().map(|d| d.contracts as usize).sum();
        let this = DeviceShown {
            name: host(),
            device: hex(&self.recovery.device),
            this: true,
            state: match is_out {
                true => DeviceStanding::Revoked,
                false => DeviceStanding::Alive,
            },
            until: until.map(Moment),
            subkey: Some(Text(self.subkey)),
            head: head.map_or(0, |head| head.seq),
            head_time: None,
            acknowledged: head.map_or(0, |head| head.seq),
            merged: head.map_or(0, |head| head.seq),
            contracts: u32::try_from(all.saturating_sub(theirs)).unwrap_or(u32::MAX),
            forked: false,
        };
        let authority = self.jobs.vault.authority();
        Ok(DeviceList {
            account: Text(self.account),
            admin: authority.map_or_else(String::new, |a| hex(&a.admin)),
            genesis: Text(self.genesis.hash()),
            devices: std::iter::once(this)
                .chain(others.iter().map(shown))
                .collect(),
        })
    }
}

fn shown(it: &DeviceState) -> DeviceShown {
    DeviceShown {
        name: it.name.clone(),
        device: hex(&it.device.0),
        this: false,
        state: if it.revoked {
            DeviceStanding::Revoked
        } else if it.lost {
            DeviceStanding::Lost
        } else if it.doubted {
            DeviceStanding::Doubted
        } else {
            DeviceStanding::Alive
        },
        until: it.until.map(Moment),
        subkey: it.subkey.map(Text),
        head: it.seq,
        head_time: (it.time > Time(0)).then_some(Moment(it.time)),
        acknowledged: it.acknowledged,
        merged: it.merged,
        contracts: it.contracts,
        forked: it.forked,
    }
}

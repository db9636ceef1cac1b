//! Gossip: what is published, and what is heard and waits to be judged.

use super::*;

impl Task {
    pub(super) fn publish(&mut self, topic: Topic, bytes: Vec<u8>) -> Result<(), NetError> {
        let topic = self.names.topic(topic);
        match self.swarm.behaviour_mut().gossip.publish(topic, bytes) {
            // The network has it already.
            Ok(_) | Err(PublishError::Duplicate) => Ok(()),
            Err(PublishError::NoPeersSubscribedToTopic) => Err(NetError::NoSubscribers),
            Err(source) => Err(NetError::Publish { source }),
        }
    }

    pub(super) fn judge(&mut self, token: &MessageToken, verdict: MessageAcceptance) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        if !gossip.report_message_validation_result(&token.id, &token.from, verdict) {
            tracing::debug!("judged too late to be passed on");
        }
    }

    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        let gossipsub::Event::Message {
            propagation_source: from,
            message_id: id,
            message,
        } = event
        else {
            return;
        };
        let token = MessageToken { id, from };
        let topic = Topic::ALL
            .into_iter()
            .find(|t| self.names.topic(*t).hash() == message.topic);
        let (Some(topic), Some(source)) = (topic, message.source.as_ref().and_then(node_id)) else {
            return self.judge(&token, MessageAcceptance::Reject);
        };
        let Ok(room) = self.events.try_reserve() else {
            return self.judge(&token, MessageAcceptance::Ignore);
        };
        room.send(NetEvent::Gossip {
            topic,
            source,
            bytes: message.data,
            token,
        });
    }
}

//! Requests and their answers: ours, which wait for their peer, and those of peers, for which the driver
//! must have room.

use super::*;

impl Task {
    pub(super) fn request(
        &mut self,
        peer: PeerId,
        bytes: Vec<u8>,
        reply: oneshot::Sender<Result<Vec<u8>, NetError>>,
    ) {
        if self.pending.len() >= limits::MAX_PENDING_REQUESTS {
            let limit = limits::MAX_PENDING_REQUESTS;
            return answer(Some(reply), Err(NetError::TooMany { limit }));
        }
        let ask = Ask {
            bytes,
            lease: Lease::default(),
        };
        let id = self.swarm.behaviour_mut().ask.send_request(&peer, ask);
        self.pending.insert(id, reply);
    }

    pub(super) fn respond(&mut self, channel: ResponseChannel<Answer>, answer: Answer) {
        let sent = self
            .swarm
            .behaviour_mut()
            .ask
            .send_response(channel, answer);
        if sent.is_err() {
            tracing::debug!("the peer that asked is gone");
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "failures of inbound requests concern the peer alone"
    )]
    pub(super) fn on_ask(&mut self, event: request_response::Event<Ask, Answer>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request {
                    request, channel, ..
                } => self.on_request(&peer, request, channel),
                request_response::Message::Response {
                    request_id,
                    response,
                } => {
                    let reply = self.pending.remove(&request_id);
                    answer(reply, response_of(&peer, response));
                }
            },
            request_response::Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                let reply = self.pending.remove(&request_id);
                answer(reply, Err(request_error(&peer, error)));
            }
            other => tracing::debug!(?other, "request or answer of a peer"),
        }
    }

    fn on_request(&mut self, peer: &PeerId, ask: Ask, channel: ResponseChannel<Answer>) {
        let (Some(node), Some(commands)) = (node_id(peer), self.to_self.upgrade()) else {
            return;
        };
        let Ok(room) = self.events.try_reserve() else {
            return self.respond(channel, Answer::Busy);
        };
        room.send(NetEvent::Request {
            peer: node,
            bytes: ask.bytes,
            respond: Responder {
                channel,
                commands,
                _lease: ask.lease,
            },
        });
    }
}

fn response_of(peer: &PeerId, answer: Answer) -> Result<Vec<u8>, NetError> {
    match (answer, node_id(peer)) {
        (Answer::Bytes(bytes), _) => Ok(bytes),
        (Answer::Busy, Some(node)) => Err(NetError::Busy { node }),
        (Answer::Busy, None) => Err(NetError::Closed),
    }
}

fn request_error(peer: &PeerId, source: request_response::OutboundFailure) -> NetError {
    match node_id(peer) {
        Some(node) => NetError::Request { node, source },
        None => NetError::Closed,
    }
}

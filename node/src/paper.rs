//! The page for the day when a home is gone: the words, the network, its peers, and what to type on an empty
//! machine; as text, or for a browser with codes to scan. Who has it has the account.

use crate::home::WayBack;
use crate::net::Multiaddr;
use larder_keys::Words;
use larder_rpc::Moment;
use larder_types::{AccountId, Time};
use qrcode::{Color, EcLevel, QrCode};
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// Most peers on a page: an invite with them still fits into a code that a phone reads off paper.
const PEERS: usize = 4;
/// White modules around a code (ISO/IEC 18004).
const QUIET: usize = 4;
/// Columns of a page of text; a code that is wider is left out of it.
const COLUMNS: usize = 80;
/// Characters of the invite in a line.
const LINE: usize = 64;

/// What stands on it.
pub struct Page {
    words: Zeroizing<String>,
    account: AccountId,
    network: String,
    way: WayBack,
    /// None where no peer is known: an invite names at least one.
    invite: Option<String>,
    printed: Time,
}

impl Page {
    /// The page of an account, whose words these are.
    #[must_use]
    pub fn new(words: &Words, account: AccountId, mut way: WayBack, printed: Time) -> Self {
        // They came with somebody's invite: only what is an address is printed.
        let is_address = |addr: &String| addr.parse::<Multiaddr>().is_ok();
        way.invite.addrs.retain(is_address);
        way.invite.addrs.truncate(PEERS);
        let name = way
            .network
            .as_deref()
            .unwrap_or("its name is not known here yet");
        let network = name.chars().filter(|c| !c.is_control()).collect();
        let has_peers = !way.invite.addrs.is_empty();
        Self {
            words: words.reveal(),
            account,
            network,
            invite: has_peers.then(|| way.invite.to_string()),
            way,
            printed,
        }
    }

    /// The network.
    #[must_use]
    pub fn genesis(&self) -> String {
        self.way.invite.genesis.to_string()
    }

    /// The peers that it names.
    #[must_use]
    pub fn peers(&self) -> &[String] {
        &self.way.invite.addrs
    }

    /// For a printer that prints text.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(64 << 10));
        for part in self.parts() {
            match part {
                Part::Title(title) => line(&mut text, &title.to_uppercase()),
                Part::Head(head) => line(&mut text, &format!("\n{head}\n")),
                Part::Prose(prose) => wrap(&mut text, &prose),
                Part::Fixed(fixed) => line(&mut text, &format!("  {}", fixed.as_str())),
                Part::Code(payload) => {
                    if let Some(code) = Modules::of(&payload).filter(|c| c.side <= COLUMNS) {
                        line(&mut text, &code.text());
                    }
                }
            }
        }
        text
    }

    /// For a browser.
    #[must_use]
    pub fn html(&self) -> Zeroizing<String> {
        let mut html = Zeroizing::new(String::with_capacity(256 << 10));
        line(
            &mut html,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Larder: the way back</title>\n\
             <style>body{font-family:sans-serif;max-width:44em;margin:2em auto}pre{margin:.2em 0;white-space:pre-wrap;\
             overflow-wrap:anywhere}svg{width:55mm;height:55mm;margin:3mm 0}@media print{body{margin:0}}</style></head><body>",
        );
        for part in self.parts() {
            let drawn = match part {
                Part::Title(title) => format!("<h1>{}</h1>", escaped(&title)),
                Part::Head(head) => format!("<h2>{}</h2>", escaped(&head)),
                Part::Prose(prose) => format!("<p>{}</p>", escaped(&prose)),
                Part::Fixed(fixed) => format!("<pre>{}</pre>", escaped(&fixed)),
                Part::Code(payload) => Modules::of(&payload).map_or_else(String::new, |c| c.svg()),
            };
            line(&mut html, &Zeroizing::new(drawn));
        }
        line(&mut html, "</body></html>");
        html
    }

    fn parts(&self) -> Vec<Part> {
        let fixed = |text: String| Part::Fixed(Zeroizing::new(text));
        let mut parts = vec![
            Part::Title("Larder: the way back to your data".to_owned()),
            Part::Prose(
                "Who has this page can read all backups of this account and spend its credit. Keep it \
                 on paper, away from the computer that it is of."
                    .to_owned(),
            ),
            fixed(format!("printed  {}", Moment(self.printed))),
            fixed(format!("larder   {}", env!("CARGO_PKG_VERSION"))),
            fixed(format!("network  {}", self.network)),
            fixed(format!("genesis  {}", self.genesis())),
            fixed(format!("account  {}", self.account)),
            Part::Head("The twenty-four words".to_owned()),
        ];
        let words: Vec<&str> = self.words.split(' ').collect();
        for (row, four) in words.chunks(4).enumerate() {
            let mut text = Zeroizing::new(String::with_capacity(COLUMNS));
            for (column, word) in four.iter().enumerate() {
                write!(text, "{:>2} {word:<10} ", row * 4 + column + 1).ok();
            }
            parts.push(Part::Fixed(text));
        }
        parts.push(Part::Code(self.words.clone()));
        parts.push(Part::Head("The network's invite".to_owned()));
        parts.extend(self.way_in());
        parts.push(Part::Head("On an empty machine".to_owned()));
        parts.push(Part::Prose(
            "Install Larder as its README says, this version or a later one. Save the invite as \
             invite.txt (line breaks in it do no harm), and type:"
                .to_owned(),
        ));
        for command in [
            "larder recover --join \"$(cat invite.txt)\"    asks for the words",
            "larder up                                    and leave it running",
            "larder snapshots                             in another terminal",
            "larder restore latest --target restored",
        ] {
            parts.push(fixed(command.to_owned()));
        }
        parts
    }

    /// How a new machine finds the network.
    fn way_in(&self) -> Vec<Part> {
        let Some(invite) = &self.invite else {
            let why = "No peer was known when this was printed. Any member of the network prints an \
                       invite with `larder invite`; its genesis must be the one above.";
            return vec![Part::Prose(why.to_owned())];
        };
        let peers = "The peers that it names; if none of them answers, any member of the network \
                     prints a newer one with `larder invite`:";
        let mut parts = vec![Part::Prose(peers.to_owned())];
        let fixed = |text: &str| Part::Fixed(Zeroizing::new(text.to_owned()));
        parts.extend(self.peers().iter().map(|peer| fixed(peer)));
        parts.push(Part::Prose("The invite itself:".to_owned()));
        let mut rest = invite.as_str();
        while !rest.is_empty() {
            // An invite is ASCII.
            let (row, after) = rest.split_at(rest.len().min(LINE));
            parts.push(fixed(row));
            rest = after;
        }
        parts.push(Part::Code(Zeroizing::new(invite.clone())));
        parts
    }
}

/// A part of the page, however it is drawn.
enum Part {
    Title(String),
    Head(String),
    Prose(String),
    Fixed(Zeroizing<String>),
    Code(Zeroizing<String>),
}

fn line(text: &mut String, add: &str) {
    text.push_str(add);
    text.push('\n');
}

/// Breaks prose into lines, each a little shorter than the page is wide.
fn wrap(text: &mut String, prose: &str) {
    let mut column = 0;
    for word in prose.split_whitespace() {
        if column > 0 && column + word.len() >= COLUMNS {
            text.push('\n');
            column = 0;
        } else if column > 0 {
            text.push(' ');
        }
        text.push_str(word);
        column += word.len() + 1;
    }
    text.push('\n');
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// A code's modules, the white ones around it too.
struct Modules {
    side: usize,
    dark: Vec<bool>,
}

impl Modules {
    /// `None` if it is more than a code can hold.
    fn of(payload: &str) -> Option<Self> {
        let code = [EcLevel::M, EcLevel::L]
            .into_iter()
            .find_map(|level| QrCode::with_error_correction_level(payload, level).ok())?;
        let (inner, colours) = (code.width(), code.to_colors());
        let side = inner + 2 * QUIET;
        let mut dark = vec![false; side * side];
        let is_dark = |(_, colour): &(usize, &Color)| **colour == Color::Dark;
        for (at, _) in colours.iter().enumerate().filter(is_dark) {
            dark[(at / inner + QUIET) * side + at % inner + QUIET] = true;
        }
        Some(Self { side, dark })
    }

    fn is_dark(&self, x: usize, y: usize) -> bool {
        self.dark.get(y * self.side + x).copied().unwrap_or(false)
    }

    /// Two rows of modules in a line.
    fn text(&self) -> String {
        let mut text = String::new();
        for y in (0..self.side).step_by(2) {
            for x in 0..self.side {
                text.push(match (self.is_dark(x, y), self.is_dark(x, y + 1)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                });
            }
            text.push('\n');
        }
        text
    }

    fn svg(&self) -> String {
        let mut path = String::new();
        for (at, _) in self.dark.iter().enumerate().filter(|(_, dark)| **dark) {
            write!(path, "M{} {}h1v1h-1z", at % self.side, at / self.side).ok();
        }
        let side = self.side;
        format!(
            "<svg viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\"><path d=\"{path}\"/></svg>"
        )
    }
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Page({}, secret)", self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invite::Invite;
    use larder_types::GenesisHash;

    fn page(addrs: &[&str], network: &str) -> (Page, Words) {
        let words = Words::generate(&mut rand::rng());
        let account = words.seed().account().account();
        let invite = Invite {
            genesis: GenesisHash([3; 32]),
            addrs: addrs.iter().map(|addr| (*addr).to_owned()).collect(),
            checkpoint: None,
        };
        let network = Some(network.to_owned());
        let way = WayBack { network, invite };
        (Page::new(&words, account, way, Time(0)), words)
    }

    /// What was printed, read again as a person would.
    fn typed(text: &str) -> (String, String) {
        // Four words a row, each behind its number.
        let is_row = |line: &&str| {
            let parts: Vec<&str> = line.split_whitespace().collect();
            parts.len() == 8
                && parts
                    .iter()
                    .step_by(2)
                    .all(|part| part.parse::<u8>().is_ok())
        };
        let words: Vec<&str> = { text.lines().filter(is_row) }
            .flat_map(str::split_whitespace)
            .filter(|part| part.parse::<u8>().is_err())
            .collect();
        let invite = text
            .lines()
            .map(str::trim)
            .skip_while(|l| !l.starts_with("larder1"));
        let invite: Vec<&str> = invite
            .take_while(|line| line.bytes().all(|b| b.is_ascii_alphanumeric()) && !line.is_empty())
            .collect();
        (words.join(" "), invite.concat())
    }

    #[test]
    fn what_is_printed_is_all_that_a_recovery_takes() {
        let peer = "/ip4/192.0.2.1/tcp/4750";
        let (page, words) = page(&[peer, "not an address"], "larder-private");
        let text = page.text();
        let (typed, invite) = typed(&text);
        assert_eq!(Words::parse(&typed).unwrap().reveal(), words.reveal());
        let invite: Invite = invite.parse().unwrap();
        assert_eq!(
            (invite.genesis, &*invite.addrs),
            (GenesisHash([3; 32]), &[peer.to_owned()][..])
        );
        for said in [
            &*page.genesis(),
            &page.account.to_string(),
            peer,
            "larder recover --join",
        ] {
            assert!(text.contains(said), "{said}");
        }
        assert!(!text.contains("not an address"));
        assert!(text.contains('█'), "a code to scan");
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS));
        assert!(!format!("{page:?}").contains(words.reveal().split(' ').next().unwrap()));
    }

    #[test]
    fn nothing_of_a_strangers_choosing_becomes_markup_or_moves_the_cursor() {
        let (page, _) = page(&[], "<script>\u{1b}[2J");
        let html = page.html();
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script>"));
        assert!(!page.text().contains('\u{1b}'));
        // Nobody is known: the page says where an invite comes from.
        assert!(page.text().contains("larder invite"));
        assert_eq!(html.matches("<svg").count(), 1, "the words alone");
    }

    #[test]
    fn a_code_has_its_corners_and_white_around_it() {
        let code = Modules::of("larder").unwrap();
        assert_eq!(code.side, 21 + 2 * QUIET);
        assert!((0..code.side).all(|x| !code.is_dark(x, QUIET - 1)));
        let far = code.side - QUIET - 1;
        assert!(code.is_dark(QUIET, QUIET) && code.is_dark(far, QUIET) && code.is_dark(QUIET, far));
        assert_eq!(code.text().lines().count(), code.side.div_ceil(2));
        assert!(Modules::of(&"x".repeat(3_000)).is_none());
    }
}

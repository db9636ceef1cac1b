//! The words for friends.

use clap::Subcommand;
use larder_types::Bytes;

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum FriendCommand {
    /// Make an invitation: whoever accepts it becomes a friend.
    #[command(
        after_help = "Examples:\n  larder friend add anna --give 50GiB\n  larder friend add bob                     bob gives, you do not\n\nHand the text over where nobody else reads it."
    )]
    Add {
        /// What you call your friend.
        name: String,
        /// How much of this node's disk your friend gets for nothing.
        #[arg(long, value_name = "SIZE")]
        give: Option<Bytes>,
        /// For how many hours the invitation holds [default: a week].
        #[arg(long, value_name = "N")]
        hours: Option<u32>,
    },
    /// Accept an invitation.
    #[command(
        after_help = "Example:\n  larder friend accept larderfriend1… --name anna --give 20GiB"
    )]
    Accept {
        /// The text that your friend handed over.
        invite: String,
        /// What you call your friend.
        #[arg(long)]
        name: String,
        /// How much of this node's disk your friend gets in turn.
        #[arg(long, value_name = "SIZE")]
        give: Option<Bytes>,
    },
    /// List friends and open invitations.
    List,
    /// End a friendship. What is stored stays until its contracts end.
    #[command(after_help = "Example:\n  larder friend remove anna")]
    Remove {
        /// The friend's name or node.
        friend: String,
    },
}

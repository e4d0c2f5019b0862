/* `perdure cli`: one connection, what is known of its state, and how replies are shown. */
#ifndef PD_CLI_SHELL_PRIVATE_H
#define PD_CLI_SHELL_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/command_book.h"
#include "cli/link.h"
#include "cli/output.h"
#include "cli/reply.h"
#include "cli/target.h"
#include "cli/words.h"
#include "os/os.h"

#define PD_SHELL_ACTOR_SIZE 256

struct pd_shell {
	struct pd_os *os;
	struct pd_target target;
	struct pd_link link;
	struct pd_output output;
	struct pd_reply_style style;
	bool interactive; /* somebody types: reconnecting is said, and Ctrl-C ends what goes on, not the shell */
	bool timing;
	uint64_t line; /* of standard input, from 1, for messages; 0: not from there */
	/* ---- the connection's state, as far as its replies tell ---- */
	char actor[PD_SHELL_ACTOR_SIZE]; /* of PD.USE; empty: the whole tenant */
	bool in_transaction;
	uint64_t queued; /* commands of the transaction */
};

/* Connect and become the actor's that it was; nothing if it is connected and alive. PD_PERMISSION, PD_NOT_FOUND, PD_IO … with
 * words that say what to do. */
PD_MUST_CHECK int pd_shell_connect(struct pd_shell *shell, struct pd_error *err);

/* Send a command, print its reply; after SUBSCRIBE or MONITOR, print what comes until somebody interrupts or the server ends.
 * 0: an answer was printed, *ret_refused tells whether it was an error. Else nothing was: PD_CANCELLED, PD_IO …, and whether the
 * command was carried out is not known unless the text says so. */
PD_MUST_CHECK int pd_shell_run(struct pd_shell *shell, const struct pd_words *words, bool *ret_refused,
			       struct pd_error *err);

/* Forget that somebody interrupted. */
void pd_shell_clear_interrupt(const struct pd_shell *shell);
/* Wait; true: somebody interrupted. */
bool pd_shell_pause(const struct pd_shell *shell, uint64_t ms);

/* The shell at a terminal. Returns the exit status. */
int pd_shell_interact(struct pd_shell *shell);

/* `help`, `help COMMAND` in the shell; false: it is not known. */
bool pd_shell_help(const struct pd_command_book *book, const struct pd_words *words, FILE *errors);
/* The same from the command line, which is sent to no server: only what the server has is asked. Returns the exit status. */
int pd_shell_help_once(struct pd_shell *shell, const struct pd_words *words);

#endif

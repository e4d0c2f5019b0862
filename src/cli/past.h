/* Asking about the past of an actor: a running server if there is one, else the directory itself. */
#ifndef PD_CLI_PAST_H
#define PD_CLI_PAST_H

#include "base/buffer.h"
#include "cli/admin.h"
#include "cli/options.h"

struct pd_history;

struct pd_cli_past {
	struct pd_admin admin;
	struct pd_history *history; /* NULL: a server is asked */
	struct pd_buffer reply;
};

/* 0, or an exit status: then it has said why on standard error. End it in any case. */
int pd_cli_past_begin(struct pd_cli_past *past, const struct pd_options *options, const char *data);
/* Ask; `words` begin with the verb, NULL ends them. The reply, of protocol 3, is valid until the next call. */
PD_MUST_CHECK int pd_cli_past_ask(struct pd_cli_past *past, const char *const *words,
				  struct pd_slice *ret_reply, struct pd_error *err);
void pd_cli_past_end(struct pd_cli_past *past);

/* ---- subcommands of `perdure actor`: actor_past.c ---- */
int pd_cli_actor_history_run(int argc, char **argv);
int pd_cli_actor_replay_run(int argc, char **argv);
int pd_cli_actor_blame_run(int argc, char **argv);
int pd_cli_actor_diff_run(int argc, char **argv);
int pd_cli_actor_get_run(int argc, char **argv);

#endif

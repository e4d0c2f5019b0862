/* Commands as data: a model declares a table of these. */
#ifndef PD_MODEL_COMMAND_H
#define PD_MODEL_COMMAND_H

#include <stddef.h>

#include "base/slice.h"
#include "model/txn.h"
#include "wire/resp.h"

enum pd_command_flags {
	PD_COMMAND_WRITE = 1 << 0,
	PD_COMMAND_READONLY = 1 << 1,
	PD_COMMAND_FAST = 1 << 2,
	PD_COMMAND_DENY_OOM = 1 << 3, /* may need more memory */
	PD_COMMAND_NO_MULTI = 1 << 4, /* not inside MULTI */
	PD_COMMAND_ADMIN = 1 << 5,
	PD_COMMAND_CONNECTION = 1 << 6, /* answered by the front, evaluates nothing */
	PD_COMMAND_LOADING = 1 << 7,    /* allowed during recovery */
	PD_COMMAND_PUBSUB = 1 << 8,
	PD_COMMAND_SUBSCRIBED = 1 << 9, /* also for one who has subscribed to something with RESP2 */
	PD_COMMAND_SECRET = 1 << 10,    /* its arguments are not shown to anybody */
	PD_COMMAND_KEYSPACE =
		1 << 12, /* for the category of that name, which the group "generic" has anyway */
	PD_COMMAND_DANGEROUS = 1 << 11, /* for the category of that name; PD_COMMAND_ADMIN implies it */
	PD_COMMAND_NO_AUTH = 1 << 13,   /* also for one who has not logged in */
	PD_COMMAND_LARGE =
		1 << 14, /* its value may be staged while it arrives: see pd_command_large_word() */
};

struct pd_call;

struct pd_command {
	const char *name; /* lower case: "set", "client|setname" for a subcommand */
	int arity;        /* words with the name; negative: at least that many (Redis's convention) */
	unsigned flags;
	int first_key, last_key,
		key_step; /* where keys are among the words; 0: none; last_key -1: to the end */
	const char *group, *since, *summary, *complexity; /* for COMMAND DOCS */
	/* NULL for PD_COMMAND_CONNECTION. Writes exactly one reply. A client's mistake is an error reply and 0, with
	 * nothing changed; a negative code means that the transaction cannot go on: it is taken back and the code
	 * reported. */
	int (*evaluate)(struct pd_call *call);
};

/* The word that may become a large string, and be staged while it arrives; words[1] is then its key. 0: there is none. It is the
 * last that the command must have. */
static inline size_t pd_command_large_word(const struct pd_command *command)
{
	if ((command->flags & PD_COMMAND_LARGE) == 0)
		return 0;
	return (size_t)(command->arity < 0 ? -command->arity : command->arity) - 1;
}

/* One command being evaluated. */
struct pd_call {
	struct pd_txn *txn;
	const struct pd_command *command;
	const struct pd_slice *words; /* words[0] is the name; the arity has been checked */
	size_t count;
	struct pd_resp_writer *reply;
	/* The large word is the end of an argument whose beginning lies here; NULL: it is all of it. */
	const struct pd_staged *staged;
	struct pd_error *err; /* the words for a negative code; may be NULL */
};

#endif

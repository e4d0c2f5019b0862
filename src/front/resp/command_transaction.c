/* MULTI EXEC DISCARD WATCH UNWATCH. The states are drawn in transaction.h. */
#include "front/resp/front_private.h"

static void answer_multi(struct pd_resp_call *call)
{
	struct pd_resp_transaction *transaction = &call->client->transaction;

	if (transaction->open) {
		pd_resp_write_error(call->reply, "ERR MULTI calls can not be nested");
		return;
	}
	transaction->open = true;
	/* What it was to rest on, keys that were watched, is lost. */
	transaction->poisoned = transaction->disowned;
	pd_resp_write_status(call->reply, "OK");
}

static void answer_exec(struct pd_resp_call *call)
{
	struct pd_resp_client *client = call->client;

	if (!client->transaction.open) {
		pd_resp_write_error(call->reply, "ERR EXEC without MULTI");
	} else if (client->transaction.poisoned) {
		pd_resp_write_error(
			call->reply,
			client->transaction.disowned
				? "EXECABORT Transaction discarded because this connection has become "
				  "another user's since it began: WATCH and MULTI again"
				: "EXECABORT Transaction discarded because of previous errors.");
		client->idempotency_size = 0;
		pd_resp_transaction_clear(&client->transaction);
	} else {
		pd_resp_run_transaction(call);
	}
}

static void answer_discard(struct pd_resp_call *call)
{
	if (!call->client->transaction.open) {
		pd_resp_write_error(call->reply, "ERR DISCARD without MULTI");
		return;
	}
	call->client->idempotency_size = 0;
	pd_resp_transaction_clear(&call->client->transaction);
	pd_resp_write_status(call->reply, "OK");
}

/* 0, or an error that has been written. */
static int watch(struct pd_resp_call *call, struct pd_session *session, struct pd_slice name)
{
	struct pd_resp_client *client = call->client;
	struct pd_version version;
	struct pd_slice actor, key;
	struct pd_error err;
	int result;

	err.text[0] = '\0';
	result = pd_engine_version(client->front->engine, session, name, &version, &actor, &key, &err);
	if (result != 0) {
		pd_resp_write_engine_error(call->reply, result, &err);
		return result;
	}
	/* What is watched already keeps its first version, as in Redis. */
	if (pd_resp_transaction_watches(&client->transaction, actor, key))
		return 0;
	result = pd_resp_transaction_watch(&client->transaction, actor, key, version);
	if (result == PD_TOO_LARGE)
		pd_resp_write_error(call->reply, "ERR too many keys are watched; UNWATCH some");
	else if (result != 0)
		pd_resp_write_error(call->reply, "OOM out of memory for watched keys");
	return result;
}

static void answer_watch(struct pd_resp_call *call)
{
	struct pd_session *session;

	if (call->client->transaction.open) {
		pd_resp_write_error(call->reply, "ERR WATCH inside MULTI is not allowed");
		return;
	}
	session = pd_resp_client_session(call->client);
	if (session == NULL) {
		pd_resp_write_error(call->reply, "OOM out of memory for a session");
		return;
	}
	for (size_t i = 1; i < call->count; i++) {
		if (!pd_resp_memory_has_room(call->client, 2 * call->words[i].size)) {
			pd_resp_write_error(call->reply,
					    "OOM there is no memory for watched keys: watch fewer");
			return;
		}
		if (watch(call, session, call->words[i]) != 0)
			return;
	}
	pd_resp_write_status(call->reply, "OK");
}

static void answer_unwatch(struct pd_resp_call *call)
{
	/* In a transaction it comes too late: the watched keys are already being checked. */
	if (!call->client->transaction.open)
		pd_resp_transaction_unwatch(&call->client->transaction);
	pd_resp_write_status(call->reply, "OK");
}

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_LOADING | PD_COMMAND_FAST)
#define ROW(name, arity, flags, key, last, since, summary, complexity, answer)                            \
	{                                                                                                 \
		{ name, arity, flags, key, last, key, "transactions", since, summary, complexity, NULL }, \
			answer, false                                                                     \
	}

static const struct pd_resp_command commands[] = {
	ROW("discard", 1, FLAGS, 0, 0, "2.0.0", "Discards a transaction.",
	    "O(N), N the number of queued commands.", answer_discard),
	ROW("exec", 1, FLAGS & ~(unsigned)PD_COMMAND_FAST, 0, 0, "1.2.0",
	    "Executes all commands in a transaction, as one.", "Depends on the commands.", answer_exec),
	ROW("multi", 1, FLAGS, 0, 0, "1.2.0", "Starts a transaction.", "O(1)", answer_multi),
	ROW("unwatch", 1, FLAGS, 0, 0, "2.2.0", "Forgets about watched keys of a transaction.", "O(1)",
	    answer_unwatch),
	ROW("watch", -2, PD_COMMAND_CONNECTION | PD_COMMAND_FAST, 1, -1, "2.2.0",
	    "Monitors changes to keys to determine the execution of a transaction.", "O(1) for each key.",
	    answer_watch),
};

const struct pd_resp_commands pd_resp_commands_transaction = { commands, sizeof commands / sizeof *commands };

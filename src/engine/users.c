/* Users: records of a host's, kept as entries of the system actor, so that they are in the log, in checkpoints and wherever
 * state goes. The engine does not look into them. */
#include <string.h>

#include "engine/engine_private.h"

static struct pd_slice key_of(struct pd_slice name, uint8_t key[1 + PD_USER_NAME_MAX])
{
	key[0] = 'u';
	memcpy(key + 1, name.data, name.size);
	return pd_slice(key, 1 + name.size);
}

static int check(struct pd_engine *engine, struct pd_slice name, struct pd_error *err)
{
	if (engine->log->fenced)
		return pd_error_set(err, PD_FENCED, "%s", engine->log->fence_text);
	if (name.size == 0 || name.size > PD_USER_NAME_MAX)
		return pd_error_set(err, PD_INVALID, "a user's name has 1 to %u bytes", PD_USER_NAME_MAX);
	return 0;
}

static int end(struct pd_txn *txn, int result, struct pd_receipt *ret_receipt, struct pd_error *err)
{
	struct pd_receipt receipt = { 0 };

	if (result != 0) {
		pd_txn_abort(txn);
		return pd_error_set(err, result, "%s",
				    txn->err.text[0] != '\0' ? txn->err.text : pd_code_text(result));
	}
	pd_txn_fill_receipt(txn, pd_txn_commit(txn), &receipt);
	*ret_receipt = receipt;
	return 0;
}

int pd_engine_put_user(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
		       struct pd_slice record, struct pd_receipt *ret_receipt, struct pd_error *err)
{
	struct pd_txn *txn = &engine->txn;
	uint8_t key[1 + PD_USER_NAME_MAX];
	int result = check(engine, name, err);

	if (result != 0)
		return result;
	pd_txn_start(txn, session);
	txn->level = engine->options.in_memory ? PD_LEVEL_NONE : PD_LEVEL_STRICT;
	return end(txn, pd_txn_put_system(txn, key_of(name, key), 0, record), ret_receipt, err);
}

int pd_engine_delete_user(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			  struct pd_receipt *ret_receipt, struct pd_error *err)
{
	struct pd_txn *txn = &engine->txn;
	uint8_t key[1 + PD_USER_NAME_MAX];
	int result = check(engine, name, err);

	if (result != 0)
		return result;
	pd_txn_start(txn, session);
	txn->level = engine->options.in_memory ? PD_LEVEL_NONE : PD_LEVEL_STRICT;
	return end(txn, pd_txn_delete_entry(txn, engine->system, PD_SYSTEM_TENANT, key_of(name, key)),
		   ret_receipt, err);
}

int pd_engine_walk_users(struct pd_engine *engine,
			 int (*visit)(void *context, struct pd_slice name, struct pd_slice record,
				      struct pd_error *err),
			 void *context, struct pd_error *err)
{
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	int result;

	pd_store_begin(engine->store);
	pd_store_seek(engine->store, engine->system, pd_slice("u", 1), pd_slice("v", 1), &cursor);
	while ((result = pd_store_next(&cursor, &entry, err)) == 1) {
		result = visit(context, pd_slice(entry.key.data + 1, entry.key.size - 1), entry.value, err);
		if (result != 0)
			break;
	}
	pd_store_commit(engine->store);
	return result;
}

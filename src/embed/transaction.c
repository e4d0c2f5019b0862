/* What a transaction keeps until its commit. */
#include <string.h>

#include "base/memory.h"
#include "embed/embed_private.h"

void pd_transaction_init(struct pd_transaction *transaction)
{
	*transaction = (struct pd_transaction){ 0 };
	pd_keep_init(&transaction->keep, PERDURE_TRANSACTION_SIZE_MAX);
	transaction->footprint.seed = (uint64_t)(uintptr_t)transaction;
}

void pd_transaction_clear(struct pd_transaction *transaction)
{
	uint64_t number = transaction->number;

	pd_transaction_done(transaction);
	pd_transaction_init(transaction);
	transaction->number = number;
}

void pd_transaction_done(struct pd_transaction *transaction)
{
	pd_footprint_done(&transaction->footprint);
	pd_free(transaction->operations);
	pd_free(transaction->preconditions);
	pd_free(transaction->stretches);
	pd_keep_clear(&transaction->keep);
}

/* ---- public ---- */

static int read_options(const struct perdure_transaction_options *given,
			struct perdure_transaction_options *ret_options, struct perdure_error *err)
{
	const struct perdure_transaction_options none = PERDURE_TRANSACTION_OPTIONS_INIT;

	*ret_options = none;
	if (given == NULL)
		return 0;
	if (given->size < sizeof given->size + sizeof given->level || given->size > 4096)
		return pd_embed_errorf(
			err, PERDURE_INVALID,
			"the options' size is %zu: begin with struct perdure_transaction_options options = "
			"PERDURE_TRANSACTION_OPTIONS_INIT",
			given->size);
	memcpy(ret_options, given, given->size < sizeof *ret_options ? given->size : sizeof *ret_options);
	if (ret_options->level < PERDURE_LEVEL_DEFAULT || ret_options->level > PERDURE_LEVEL_FULL)
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "%d is no durability level: see enum perdure_level",
				       ret_options->level);
	if ((ret_options->idempotency_key.data == NULL && ret_options->idempotency_key.size > 0) ||
	    (ret_options->idempotency_request.data == NULL && ret_options->idempotency_request.size > 0) ||
	    (ret_options->request_id.data == NULL && ret_options->request_id.size > 0))
		return pd_embed_errorf(err, PERDURE_INVALID, "bytes at NULL have size 0");
	if (ret_options->idempotency_key.size > PERDURE_IDEMPOTENCY_SIZE_MAX)
		return pd_embed_errorf(err, PERDURE_TOO_LARGE,
				       "an idempotency key may have %u bytes, not %zu",
				       PERDURE_IDEMPOTENCY_SIZE_MAX, ret_options->idempotency_key.size);
	if (ret_options->request_id.size > PERDURE_REQUEST_ID_SIZE_MAX)
		return pd_embed_errorf(err, PERDURE_TOO_LARGE, "a request id may have %u bytes, not %zu",
				       PERDURE_REQUEST_ID_SIZE_MAX, ret_options->request_id.size);
	return 0;
}

static int keep_options(struct pd_transaction *transaction, const struct perdure_transaction_options *options)
{
	struct pd_keep *keep = &transaction->keep;
	int result;

	transaction->level = (enum pd_level)options->level;
	result = pd_keep_copy(keep, pd_embed_slice(options->idempotency_key), &transaction->idempotency_key);
	if (result == 0)
		result = pd_keep_copy(keep, pd_embed_slice(options->idempotency_request),
				      &transaction->idempotency_request);
	if (result == 0)
		result = pd_keep_copy(keep, pd_embed_slice(options->request_id), &transaction->request_id);
	return result;
}

int perdure_begin(struct perdure_session *session, const struct perdure_transaction_options *given,
		  struct perdure_error *err)
{
	struct perdure_transaction_options options;
	struct pd_transaction *transaction;
	int result = read_options(given, &options, err);

	if (result == 0)
		result = pd_embed_enter(session, err);
	if (result != 0)
		return result;
	transaction = &session->transaction;
	if (transaction->state != PD_TRANSACTION_NONE) {
		result = pd_embed_errorf(
			err, PERDURE_INVALID,
			"a transaction is open on this session: commit it or roll it back first, or use "
			"another session");
	} else {
		result = keep_options(transaction, &options);
		if (result != 0) {
			pd_transaction_clear(transaction);
			(void)pd_embed_errorf(err, result, "%s", pd_code_text(result));
		} else {
			transaction->state = PD_TRANSACTION_OPEN;
			transaction->number++;
			pd_buffer_clear(&session->result);
		}
	}
	pd_embed_leave(session);
	return result;
}

/* For what makes sense within a transaction only. */
static int check_open(const struct perdure_session *session, struct perdure_error *err)
{
	if (session->transaction.state == PD_TRANSACTION_NONE)
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "no transaction is open on this session: perdure_begin() first");
	return 0;
}

int perdure_commit(struct perdure_session *session, struct perdure_receipt *ret_receipt,
		   struct perdure_error *err)
{
	struct pd_receipt receipt = { 0 };
	int result = pd_embed_enter(session, err);

	if (result != 0)
		return result;
	result = check_open(session, err);
	if (result == 0) {
		result = pd_embed_commit(session, &receipt, err);
		pd_transaction_clear(&session->transaction);
	}
	if (result == 0 && ret_receipt != NULL)
		pd_embed_fill_receipt(&receipt, ret_receipt);
	pd_embed_leave(session);
	return result;
}

void perdure_rollback(struct perdure_session *session)
{
	if (pd_embed_enter(session, NULL) != 0)
		return;
	pd_transaction_clear(&session->transaction);
	pd_embed_leave(session);
}

int perdure_in_transaction(const struct perdure_session *session)
{
	return session != NULL && session->transaction.state != PD_TRANSACTION_NONE;
}

int perdure_set_result(struct perdure_session *session, struct perdure_bytes result_bytes,
		       struct perdure_error *err)
{
	struct pd_transaction *transaction;
	int result = pd_embed_enter(session, err);

	if (result != 0)
		return result;
	transaction = &session->transaction;
	result = check_open(session, err);
	if (result == 0 && transaction->idempotency_key.size == 0)
		result = pd_embed_errorf(
			err, PERDURE_INVALID,
			"a result is kept with an idempotency key, and this transaction has none");
	if (result == 0) {
		result = pd_keep_copy(&transaction->keep, pd_embed_slice(result_bytes), &transaction->result);
		if (result != 0)
			(void)pd_embed_errorf(err, result, "this result: %s", pd_code_text(result));
	}
	pd_embed_leave(session);
	return result;
}

struct perdure_bytes perdure_result(const struct perdure_session *session)
{
	return session != NULL ? pd_embed_bytes(pd_buffer_slice(&session->result)) : perdure_data(NULL, 0);
}

static int keep_precondition(struct pd_transaction *transaction, const struct pd_precondition *given)
{
	struct pd_precondition *grown, precondition = *given;
	int result = pd_keep_copy(&transaction->keep, given->actor, &precondition.actor);

	if (result == 0)
		result = pd_keep_copy(&transaction->keep, given->key, &precondition.key);
	if (result == 0)
		result = pd_keep_copy(&transaction->keep, given->value, &precondition.value);
	if (result != 0)
		return result;
	grown = pd_grow(transaction->preconditions, transaction->precondition_count,
			&transaction->precondition_capacity, sizeof *grown, 4);
	if (grown == NULL)
		return PD_NO_MEMORY;
	transaction->preconditions = grown;
	grown[transaction->precondition_count++] = precondition;
	return 0;
}

int perdure_require(struct perdure_session *session, int condition, struct perdure_bytes actor,
		    struct perdure_bytes key, uint64_t version, struct perdure_bytes value,
		    struct perdure_error *err)
{
	static const enum pd_precondition_kind kinds[] = { PD_IF_EXISTS, PD_IF_ABSENT, PD_IF_VERSION,
							   PD_IF_VALUE };
	struct pd_precondition precondition = { 0 };
	struct pd_slice name;
	int result;

	if (condition < PERDURE_IF_EXISTS || condition > PERDURE_IF_VALUE)
		return pd_embed_errorf(err, PERDURE_INVALID, "%d is no condition: see enum perdure_condition",
				       condition);
	result = pd_embed_enter(session, err);
	if (result != 0)
		return result;
	result = check_open(session, err);
	if (result == 0)
		result = pd_embed_name(session, actor, key, &name, err);
	if (result == 0) {
		precondition.kind = kinds[condition];
		precondition.actor = actor.size > 0 ? pd_embed_slice(actor)
						    : pd_slice(session->actor, session->actor_size);
		precondition.key = pd_embed_slice(key);
		precondition.version = (struct pd_version){ .exists = true, .lsn = version };
		precondition.value = pd_embed_slice(value);
		result = keep_precondition(&session->transaction, &precondition);
		if (result != 0)
			(void)pd_embed_errorf(err, result, "this precondition: %s", pd_code_text(result));
	}
	pd_embed_leave(session);
	return result;
}

/* ---- receipts ---- */

void pd_embed_fill_receipt(const struct pd_receipt *from, struct perdure_receipt *to)
{
	memset(to, 0, sizeof *to);
	to->epoch = from->epoch;
	to->lsn = from->lsn;
	to->time_us = from->time_us;
	to->level = (int)from->level;
	to->duplicate = from->duplicate;
	if (from->lsn != 0)
		pd_bookmark_format(0, from->epoch, from->lsn, to->bookmark);
}

int perdure_last_receipt(struct perdure_session *session, struct perdure_receipt *ret_receipt,
			 struct perdure_error *err)
{
	int result = pd_embed_enter(session, err);

	if (result != 0)
		return result;
	pd_embed_fill_receipt(&session->receipt, ret_receipt);
	pd_embed_leave(session);
	return 0;
}

/* Units: what runs inside the engine for a session, on whatever thread drives.
 *
 * A look is a command of our own to the engine: it reads with the engine's transaction. If the open transaction has written to
 * what is looked at, its writes are done first and all of it is taken back in the end: reads of every kind see them, as do
 * commands that we know nothing of. A commit checks that what was read is still so, then does the writes for good. Both
 * in one evaluation of the engine, at one moment, beside nobody. */
#include <string.h>

#include "base/memory.h"
#include "embed/embed_private.h"

enum unit_kind {
	UNIT_LOOK,
	UNIT_HASH, /* of interest->stretch, without the transaction's writes */
	UNIT_COMMIT,
};

struct unit {
	struct pd_command command; /* first: the engine hands it to evaluate_unit() */
	enum unit_kind kind;
	struct perdure_session *session;
	const struct pd_interest *interest;
	pd_look *look;
	void *argument;
	bool taken_back; /* the engine was told to cancel what was done for the look */
	bool hash_later; /* the writes are in the way */
	int result;      /* of the look, if so, or of the hash that came later */
};

/* ---- is what was read still so? ---- */

static int conflict(struct pd_call *call, const char *what, struct pd_slice name)
{
	return pd_error_set(call->err, PD_CONFLICT,
			    "%s '%.*s' has changed since this transaction read it: roll back and begin again",
			    what, name.size < 64 ? (int)name.size : 64,
			    name.data != NULL ? (const char *)name.data : "");
}

/* The transaction has seen something that is gone at that time (0: never). */
static void note_expiry(struct pd_transaction *transaction, uint64_t expires_us)
{
	if (expires_us != 0 && (transaction->expires_us == 0 || expires_us < transaction->expires_us))
		transaction->expires_us = expires_us;
}

static int see_step(struct pd_call *call, struct pd_slice name, bool *ret_exists, uint64_t *ret_lsn,
		    uint64_t *ret_expires_us)
{
	struct pd_entry entry = { 0 };
	struct pd_key key;
	int result = pd_txn_key(call->txn, name, &key, call->err);

	if (result != 0)
		return result;
	*ret_exists = pd_txn_get(call->txn, &key, &entry);
	*ret_lsn = *ret_exists ? entry.lsn : 0;
	*ret_expires_us = *ret_exists ? entry.expires_us : 0;
	return 0;
}

static int check_steps(struct pd_call *call, const struct pd_footprint *footprint)
{
	for (size_t i = 0; i < footprint->slots; i++) {
		const struct pd_step *step = &footprint->steps[i];
		uint64_t lsn = 0, expires_us;
		bool exists = false;
		int result;

		if (step->name.data == NULL || !step->read)
			continue;
		result = see_step(call, step->name, &exists, &lsn, &expires_us);
		if (result != 0)
			return result;
		if (exists != step->exists || lsn != step->lsn)
			return conflict(call, "key", step->name);
	}
	return 0;
}

int pd_embed_hash_stretch(struct perdure_session *session, struct pd_call *call,
			  const struct pd_stretch *stretch, struct pd_hash128 *ret_hash)
{
	struct pd_hasher *hasher = session->db->hasher;
	struct pd_slice name;
	struct pd_entry entry;
	struct pd_walk walk;
	struct pd_key key;
	int result = pd_txn_key(call->txn, stretch->actor, &key, call->err);

	if (result != 0)
		return result;
	pd_hasher_reset(hasher);
	pd_txn_walk_keys(call->txn, key.actor, stretch->from, &walk);
	while (pd_walk_next(&walk, &name, &entry)) {
		uint64_t numbers[2] = { name.size, entry.lsn };

		if (!stretch->to_end && pd_slice_compare(name, stretch->to) >= 0)
			break;
		pd_hasher_add(hasher, numbers, sizeof numbers);
		pd_hasher_add(hasher, name.data, name.size);
		note_expiry(&session->transaction, entry.expires_us);
	}
	*ret_hash = pd_hasher_sum(hasher);
	return 0;
}

static int check_stretches(struct perdure_session *session, struct pd_call *call)
{
	const struct pd_transaction *transaction = &session->transaction;

	for (size_t i = 0; i < transaction->stretch_count; i++) {
		const struct pd_stretch *stretch = &transaction->stretches[i];
		struct pd_hash128 hash;
		int result = pd_embed_hash_stretch(session, call, stretch, &hash);

		if (result != 0)
			return result;
		if (hash.high != stretch->hash.high || hash.low != stretch->hash.low)
			return conflict(call, "what a scan has seen of actor", stretch->actor);
	}
	return 0;
}

/* At most one thing has to be looked at if nothing was written anywhere, and nothing that was seen has expired since: that is written
 * down a while later. */
static int check_seen(struct perdure_session *session, struct pd_call *call)
{
	struct pd_transaction *transaction = &session->transaction;
	uint64_t epoch, lsn;
	int result;

	pd_engine_now(session->db->engine, &epoch, &lsn);
	if (transaction->looked && lsn == transaction->seen_lsn &&
	    (transaction->expires_us == 0 || pd_txn_now_us(call->txn) < transaction->expires_us))
		return 0;
	result = check_steps(call, &transaction->footprint);
	if (result == 0)
		result = check_stretches(session, call);
	if (result == 0) {
		transaction->seen_lsn = lsn;
		transaction->looked = true;
	}
	return result;
}

/* ---- looking ---- */

/* Remember the versions that these keys have now. */
static int note_names(struct perdure_session *session, struct pd_call *call,
		      const struct pd_interest *interest)
{
	struct pd_transaction *transaction = &session->transaction;
	int result = 0;

	for (size_t i = 0; result == 0 && i < interest->name_count; i++) {
		struct pd_step *step;
		uint64_t expires_us = 0;

		result = pd_footprint_add(&transaction->footprint, &transaction->keep, interest->names[i],
					  &step);
		if (result != 0)
			return pd_error_set(call->err, result, "this transaction keeps too much: %s",
					    pd_code_text(result));
		if (step->read)
			continue;
		result = see_step(call, step->name, &step->exists, &step->lsn, &expires_us);
		step->read = result == 0;
		note_expiry(transaction, expires_us);
	}
	return result;
}

static bool touches_writes(const struct pd_transaction *transaction, const struct pd_interest *interest)
{
	if (transaction->operation_count == 0)
		return false;
	if (interest->whole)
		return true;
	for (size_t i = 0; i < interest->name_count; i++) {
		const struct pd_step *step = pd_footprint_find(&transaction->footprint, interest->names[i]);

		if (step != NULL && step->written)
			return true;
	}
	return false;
}

/* Do the transaction's writes. One that is answered with an error ends it. */
static int do_writes(struct perdure_session *session, struct pd_call *call)
{
	const struct pd_transaction *transaction = &session->transaction;
	struct pd_buffer replies;
	struct pd_resp_writer writer = { .buffer = &replies, .protocol = 3 };
	int result = 0;

	pd_buffer_init(&replies, PD_VALUE_SIZE_MAX);
	for (size_t i = 0; result == 0 && i < transaction->operation_count; i++) {
		const struct pd_operation *operation = &transaction->operations[i];
		struct pd_call each = { .txn = call->txn,
					.command = operation->command,
					.words = operation->words,
					.count = operation->count,
					.reply = &writer,
					.err = call->err };
		struct pd_slice rest;
		struct pd_reply reply;

		pd_buffer_clear(&replies);
		result = operation->command->evaluate(&each);
		if (result == 0 && writer.failed != 0)
			result = pd_error_set(call->err, writer.failed, "the reply of %s: %s",
					      operation->command->name, pd_code_text(writer.failed));
		if (result != 0)
			break;
		rest = pd_buffer_slice(&replies);
		reply = pd_reply_read(&rest);
		if (reply.kind == PD_REPLY_ERROR) {
			struct perdure_error why;

			result = pd_embed_reply_error(reply.text, &why);
			(void)pd_error_set(call->err, result, "%s", why.text);
		}
	}
	pd_buffer_done(&replies);
	return result;
}

static int evaluate_look(struct unit *unit, struct pd_call *call)
{
	struct perdure_session *session = unit->session;
	struct pd_transaction *transaction = &session->transaction;
	const struct pd_interest *interest = unit->interest;
	int result;

	if (transaction->state == PD_TRANSACTION_NONE)
		return unit->look(session, call, unit->argument);
	/* Of what is done for a look, the look itself is what was asked for. */
	pd_txn_meter(call->txn, false);
	result = check_seen(session, call);
	if (result == 0)
		result = note_names(session, call, interest);
	if (result == 0 && unit->taken_back)
		result = do_writes(session, call);
	pd_txn_meter(call->txn, true);
	if (result == 0)
		result = unit->look(session, call, unit->argument);
	pd_txn_meter(call->txn, false);
	if (result == 0 && !unit->taken_back && interest->stretch != NULL)
		result = pd_embed_hash_stretch(session, call, interest->stretch, &interest->stretch->hash);
	return result == 0 && unit->taken_back ? PD_CANCELLED : result;
}

static int evaluate_commit(struct unit *unit, struct pd_call *call)
{
	struct perdure_session *session = unit->session;
	int result;

	pd_txn_meter(call->txn, false);
	result = check_seen(session, call);
	pd_txn_meter(call->txn, true);
	if (result == 0)
		result = do_writes(session, call);
	if (result == 0)
		pd_resp_write_bulk(call->reply, session->transaction.result);
	return result;
}

static int evaluate_unit(struct pd_call *call)
{
	/* The engine gives back the command that it was given, which is the first member of a unit that may be changed. */
	struct unit *unit = (struct unit *)(uintptr_t)call->command;

	switch (unit->kind) {
	case UNIT_LOOK:
		return evaluate_look(unit, call);
	case UNIT_HASH:
		pd_txn_meter(call->txn, false);
		return pd_embed_hash_stretch(unit->session, call, unit->interest->stretch,
					     &unit->interest->stretch->hash);
	case UNIT_COMMIT:
		break;
	}
	return evaluate_commit(unit, call);
}

/* ---- jobs ---- */

struct execution {
	struct pd_job job;
	struct perdure_session *session;
	struct pd_request request;
	struct pd_request_command command;
	struct pd_receipt receipt;
	struct unit *unit; /* NULL: a command of the models, alone */
};

/* Can this request's level be kept here? */
static int check_level(const struct execution *execution, struct pd_error *err)
{
	struct perdure_session *session = execution->session;
	int result;

	if (execution->request.level == PD_LEVEL_UNSET)
		return 0;
	result = pd_session_set_level(session->session, execution->request.level, err);
	return result != 0 ? result : pd_session_set_level(session->session, session->level, err);
}

static int execute(struct pd_job *job)
{
	struct execution *execution = job->argument;
	struct perdure_session *session = execution->session;
	struct pd_resp_writer writer = { .buffer = &session->reply, .protocol = 3 };
	struct unit *unit = execution->unit;
	int result = check_level(execution, &job->err);

	if (result != 0)
		return result;
	pd_buffer_clear(&session->reply);
	execution->request.session = session->session;
	execution->request.commands = &execution->command;
	execution->request.count = 1;
	result = pd_engine_execute(job->engine, &execution->request, &writer, &execution->receipt, &job->err);
	job->wait = execution->receipt.wait;
	job->retry_us = execution->receipt.retry_us;
	job->wrote = execution->receipt.lsn != 0;
	/* Fenced before: nothing was evaluated, and there is nothing to wait for. */
	if (result == PD_FENCED)
		job->wait = (struct pd_wait){ 0 };
	if (unit != NULL && result == PD_CANCELLED && unit->taken_back)
		result = unit->result;
	if (result == 0 && unit != NULL && unit->hash_later) {
		unit->kind = UNIT_HASH;
		result = pd_engine_execute(job->engine, &execution->request, &writer, &execution->receipt,
					   &job->err);
		unit->kind = UNIT_LOOK;
		unit->result = result;
	}
	return result;
}

static int run(struct execution *execution, struct perdure_error *err)
{
	execution->job.run = execute;
	execution->job.argument = execution;
	return pd_embed_run(execution->session->db, &execution->job, err);
}

static int check_alive(const struct perdure_session *session, struct perdure_error *err)
{
	if (session->transaction.state == PD_TRANSACTION_DOOMED)
		return pd_embed_errorf(
			err, PERDURE_CONFLICT,
			"what this transaction has read is not so any more: roll back and begin again");
	return 0;
}

/* The transaction remembers what a scan has walked. */
static int keep_stretch(struct pd_transaction *transaction, const struct pd_stretch *given)
{
	struct pd_stretch *grown, stretch = *given;
	int result = pd_keep_copy(&transaction->keep, given->actor, &stretch.actor);

	if (result == 0)
		result = pd_keep_copy(&transaction->keep, given->from, &stretch.from);
	if (result == 0)
		result = pd_keep_copy(&transaction->keep, given->to, &stretch.to);
	if (result != 0)
		return result;
	grown = pd_grow(transaction->stretches, transaction->stretch_count, &transaction->stretch_capacity,
			sizeof *grown, 4);
	if (grown == NULL)
		return PD_NO_MEMORY;
	transaction->stretches = grown;
	grown[transaction->stretch_count++] = stretch;
	return 0;
}

int pd_embed_look(struct perdure_session *session, const struct pd_interest *interest, pd_look *look,
		  void *argument, struct perdure_error *err)
{
	struct pd_transaction *transaction = &session->transaction;
	struct unit unit = { .command = { .name = "perdure|look",
					  .arity = 1,
					  .flags = PD_COMMAND_READONLY,
					  .evaluate = evaluate_unit },
			     .kind = UNIT_LOOK,
			     .session = session,
			     .interest = interest,
			     .look = look,
			     .argument = argument };
	struct pd_slice word = pd_slice_string("look");
	struct execution execution = { .session = session,
				       .command = { &unit.command, &word, 1 },
				       .unit = &unit };
	int result = check_alive(session, err);

	if (result != 0)
		return result;
	if (transaction->state == PD_TRANSACTION_OPEN) {
		unit.taken_back = interest->writes || touches_writes(transaction, interest);
		unit.hash_later = unit.taken_back && interest->stretch != NULL;
	}
	result = run(&execution, err);
	if (transaction->state != PD_TRANSACTION_OPEN)
		return result;
	if (result == PD_CONFLICT)
		transaction->state = PD_TRANSACTION_DOOMED;
	if (result == 0 && interest->stretch != NULL) {
		result = keep_stretch(transaction, interest->stretch);
		/* Without it the commit would not know what was seen. */
		if (result != 0) {
			transaction->state = PD_TRANSACTION_DOOMED;
			(void)pd_embed_errorf(err, result, "this transaction keeps too much: %s",
					      pd_code_text(result));
		}
	}
	return result;
}

/* ---- writing ---- */

static int execute_now(struct perdure_session *session, const struct pd_operation *operation,
		       struct pd_slice *ret_reply, struct perdure_error *err)
{
	struct execution execution = {
		.session = session, .command = { operation->command, operation->words, operation->count }
	};
	int result = run(&execution, err);
	struct pd_slice rest;
	struct pd_reply reply;

	if (result != 0)
		return result;
	if (execution.receipt.lsn != 0)
		session->receipt = execution.receipt;
	rest = pd_buffer_slice(&session->reply);
	if (ret_reply != NULL)
		*ret_reply = rest;
	reply = pd_reply_read(&rest);
	return reply.kind == PD_REPLY_ERROR ? pd_embed_reply_error(reply.text, err) : 0;
}

/* A command that is done to see its reply. */
static int look_at_reply(struct perdure_session *session, struct pd_call *call, void *argument)
{
	const struct pd_operation *operation = argument;
	struct pd_resp_writer writer = { .buffer = &session->preview, .protocol = 3 };
	struct pd_call own = { .txn = call->txn,
			       .command = operation->command,
			       .words = operation->words,
			       .count = operation->count,
			       .reply = &writer,
			       .err = call->err };
	int result;

	pd_buffer_clear(&session->preview);
	result = operation->command->evaluate(&own);
	if (result == 0 && writer.failed != 0)
		result = pd_error_set(call->err, writer.failed, "the reply of %s: %s",
				      operation->command->name, pd_code_text(writer.failed));
	return result;
}

static int keep_words(struct pd_transaction *transaction, const struct pd_operation *given,
		      struct pd_operation *ret_operation)
{
	struct pd_operation operation = *given;
	void *words;
	int result = pd_keep_take(&transaction->keep, given->count * sizeof *given->words, &words);

	operation.words = words;
	for (size_t i = 0; result == 0 && i < given->count; i++) {
		result = pd_keep_copy(&transaction->keep, given->words[i], &operation.words[i]);
		transaction->operation_bytes += given->words[i].size + 16;
	}
	*ret_operation = operation;
	return result;
}

/* The keys among the words, as the command's table says where they are. */
static size_t key_words(const struct pd_operation *operation, struct pd_slice *names)
{
	const struct pd_command *command = operation->command;
	size_t last, count = 0;

	if (command->first_key <= 0)
		return 0;
	last = command->last_key >= 0 ? (size_t)command->last_key : operation->count - 1;
	for (size_t i = (size_t)command->first_key; i <= last && i < operation->count;
	     i += (size_t)command->key_step)
		names[count++] = operation->words[i];
	return count;
}

static int mark_written(struct pd_transaction *transaction, const struct pd_slice *names, size_t count)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < count; i++) {
		struct pd_step *step;

		result = pd_footprint_add(&transaction->footprint, &transaction->keep, names[i], &step);
		if (result == 0)
			step->written = true;
	}
	return result;
}

static int keep_operation(struct pd_transaction *transaction, const struct pd_operation *given,
			  const struct pd_slice *names, size_t name_count)
{
	struct pd_operation *grown, operation;
	int result = keep_words(transaction, given, &operation);

	if (result == 0)
		result = mark_written(transaction, names, name_count);
	if (result != 0)
		return result;
	grown = pd_grow(transaction->operations, transaction->operation_count,
			&transaction->operation_capacity, sizeof *grown, 8);
	if (grown == NULL)
		return PD_NO_MEMORY;
	transaction->operations = grown;
	grown[transaction->operation_count++] = operation;
	return 0;
}

static int add_operation(struct perdure_session *session, const struct pd_operation *operation,
			 const struct pd_slice *names, size_t name_count, struct pd_slice *ret_reply,
			 struct perdure_error *err)
{
	bool writes = (operation->command->flags & PD_COMMAND_WRITE) != 0;
	struct pd_interest interest = { .names = names, .name_count = name_count, .writes = writes };
	struct pd_operation shown = *operation;
	int result = 0;

	if (ret_reply != NULL) {
		struct pd_slice rest;
		struct pd_reply reply;

		result = pd_embed_look(session, &interest, look_at_reply, &shown, err);
		if (result != 0)
			return result;
		rest = pd_buffer_slice(&session->preview);
		*ret_reply = rest;
		reply = pd_reply_read(&rest);
		if (reply.kind == PD_REPLY_ERROR)
			return pd_embed_reply_error(reply.text, err);
	}
	if (writes)
		result = keep_operation(&session->transaction, operation, names, name_count);
	if (result != 0)
		(void)pd_embed_errorf(
			err, result,
			"this transaction keeps too much (%zu of at most %u bytes): commit it in parts",
			session->transaction.keep.size, PERDURE_TRANSACTION_SIZE_MAX);
	return result;
}

int pd_embed_do(struct perdure_session *session, const struct pd_operation *operation,
		struct pd_slice *ret_reply, struct perdure_error *err)
{
	struct pd_slice *names;
	size_t count;
	int result = 0;

	if ((operation->command->flags & PD_COMMAND_WRITE) != 0)
		result = pd_embed_check_write(session, err);
	if (result == 0)
		result = check_alive(session, err);
	if (result != 0)
		return result;
	if (session->transaction.state == PD_TRANSACTION_NONE)
		return execute_now(session, operation, ret_reply, err);
	names = pd_malloc(operation->count * sizeof *names);
	if (names == NULL)
		return pd_embed_errorf(err, PERDURE_NO_MEMORY, "out of memory");
	count = key_words(operation, names);
	if (count == 0)
		result = pd_embed_errorf(
			err, PERDURE_NOT_SUPPORTED,
			"%s looks at more than the keys that it names, so a transaction cannot tell what it "
			"depends on: use perdure_scan_keys(), or run it outside",
			operation->command->name);
	else
		result = add_operation(session, operation, names, count, ret_reply, err);
	pd_free(names);
	return result;
}

static int keep_result(struct perdure_session *session)
{
	struct pd_slice rest = pd_buffer_slice(&session->reply);

	pd_buffer_clear(&session->result);
	return pd_buffer_append_slice(&session->result, pd_reply_read(&rest).text);
}

int pd_embed_commit(struct perdure_session *session, struct pd_receipt *ret_receipt,
		    struct perdure_error *err)
{
	struct pd_transaction *transaction = &session->transaction;
	bool writes = transaction->operation_count > 0;
	struct unit unit = { .command = { .name = "perdure|commit",
					  .arity = 2,
					  .flags = writes ? PD_COMMAND_WRITE | PD_COMMAND_DENY_OOM
							  : PD_COMMAND_READONLY,
					  .evaluate = evaluate_unit },
			     .kind = UNIT_COMMIT,
			     .session = session };
	struct pd_slice words[2] = { pd_slice_string("commit"), transaction->idempotency_request };
	struct execution execution = { .session = session,
				       .command = { &unit.command, words, 2 },
				       .unit = &unit };
	int result = check_alive(session, err);

	if (result != 0)
		return result;
	/* All that it has read was true together when it read last, and there is nothing else. */
	if (!writes && transaction->precondition_count == 0 && transaction->idempotency_key.size == 0)
		return 0;
	execution.request = (struct pd_request){ .preconditions = transaction->preconditions,
						 .precondition_count = transaction->precondition_count,
						 .level = transaction->level,
						 .idempotency_key = transaction->idempotency_key,
						 .request_id = transaction->request_id,
						 .extra_bytes = transaction->operation_bytes };
	result = run(&execution, err);
	if (result != 0)
		return result;
	*ret_receipt = execution.receipt;
	if (execution.receipt.lsn != 0 && !execution.receipt.duplicate)
		session->receipt = execution.receipt;
	result = keep_result(session);
	/* It is done all the same: what is missing is the copy. */
	return result == 0
		       ? 0
		       : pd_embed_errorf(err, result, "committed, but there was no memory for its result");
}

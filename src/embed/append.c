/* Append logs: a hash whose fields are sequence numbers.
 *
 * Numbers are given where the engine evaluates, at the commit: so appending is a command of our own, made of the model's. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "embed/append.h"

#define NUMBER_SIZE  24
#define TRIM_PORTION 1000u

/* ---- what is there ---- */

struct pd_slice pd_append_field(uint64_t sequence, char text[PD_APPEND_FIELD_SIZE])
{
	return pd_slice(text, (size_t)snprintf(text, PD_APPEND_FIELD_SIZE, "%020" PRIu64, sequence));
}

bool pd_append_sequence(struct pd_slice field, uint64_t *ret_sequence)
{
	int64_t number;

	if (field.size != PD_APPEND_FIELD_SIZE - 1)
		return false;
	while (field.size > 1 && field.data[0] == '0')
		field = pd_slice(field.data + 1, field.size - 1);
	if (!pd_slice_to_int64(field, &number) || number <= 0)
		return false;
	*ret_sequence = (uint64_t)number;
	return true;
}

/* A number in a field; `otherwise` if it is not there. */
static int read_number(struct pd_call *call, const struct pd_key *key, const char *name, uint64_t otherwise,
		       uint64_t *ret_number)
{
	struct pd_key field = pd_key_field(key, pd_slice_string(name));
	struct pd_entry entry;
	int64_t number;

	*ret_number = otherwise;
	if (!pd_txn_get(call->txn, &field, &entry))
		return 0;
	if (!pd_slice_to_int64(entry.value, &number) || number <= 0)
		return pd_error_set(call->err, PD_WRONG_TYPE,
				    "the key holds a hash that is no log: its field '%s' is no number", name);
	*ret_number = (uint64_t)number;
	return 0;
}

int pd_append_bounds(struct pd_call *call, const struct pd_key *key, uint64_t *ret_first, uint64_t *ret_next)
{
	struct pd_entry entry;
	int result;

	*ret_first = 1;
	*ret_next = 1;
	if (!pd_txn_get(call->txn, key, &entry))
		return 0;
	if (entry.type != PD_TYPE_HASH)
		return pd_error_set(call->err, PD_WRONG_TYPE, "the key holds something else than a log");
	result = read_number(call, key, "next", 0, ret_next);
	if (result == 0 && *ret_next == 0)
		return pd_error_set(call->err, PD_WRONG_TYPE,
				    "the key holds a hash that is no log: it has no field 'next'");
	return result == 0 ? read_number(call, key, "first", 1, ret_first) : result;
}

static int read_bounds(struct pd_call *call, uint64_t *ret_first, uint64_t *ret_next)
{
	struct pd_key key;
	int result = pd_txn_key(call->txn, call->words[1], &key, call->err);

	return result == 0 ? pd_append_bounds(call, &key, ret_first, ret_next) : result;
}

/* ---- commands ---- */

/* A command of the model, with words of our own; its reply is nobody's. */
static int evaluate_other(struct pd_call *call, const char *name, struct pd_slice *words, size_t count)
{
	struct pd_buffer reply;
	struct pd_resp_writer writer = { .buffer = &reply, .protocol = 3 };
	struct pd_call other = {
		.txn = call->txn, .words = words, .count = count, .reply = &writer, .err = call->err
	};
	int result;

	words[0] = pd_slice_string(name);
	words[1] = call->words[1];
	other.command = pd_embed_command(words[0]);
	pd_buffer_init(&reply, 4096);
	result = other.command->evaluate(&other);
	/* What these commands could refuse has been looked at before. */
	if (result == 0 && (writer.failed != 0 || reply.size == 0 || reply.data[0] == '-'))
		result = pd_error_set(call->err, writer.failed != 0 ? writer.failed : PD_WRONG_TYPE,
				      "this log could not be written to");
	pd_buffer_done(&reply);
	return result;
}

static int evaluate_append(struct pd_call *call)
{
	char field[PD_APPEND_FIELD_SIZE], following[NUMBER_SIZE];
	struct pd_slice words[6] = { { NULL, 0 } };
	uint64_t first, next;
	int result = read_bounds(call, &first, &next);

	if (result != 0)
		return result;
	words[2] = pd_append_field(next, field);
	words[3] = call->words[2];
	words[4] = pd_slice_string("next");
	words[5] = pd_slice(following, (size_t)snprintf(following, sizeof following, "%" PRIu64, next + 1));
	result = evaluate_other(call, "hset", words, 6);
	if (result == 0)
		pd_resp_write_integer(call->reply, (int64_t)next);
	return result;
}

/* Drop the fields of [first, before). */
static int drop_records(struct pd_call *call, uint64_t first, uint64_t before)
{
	size_t count = (size_t)(before - first);
	char(*fields)[PD_APPEND_FIELD_SIZE] = pd_malloc(count * sizeof *fields);
	struct pd_slice *words = pd_calloc(count + 2, sizeof *words);
	int result = PD_NO_MEMORY;

	for (size_t i = 0; fields != NULL && words != NULL && i < count; i++)
		words[2 + i] = pd_append_field(first + i, fields[i]);
	if (fields != NULL && words != NULL)
		result = evaluate_other(call, "hdel", words, count + 2);
	pd_free(fields);
	pd_free(words);
	return result;
}

/* The reply is how many records before words[2] are left to be dropped. */
static int evaluate_trim(struct pd_call *call)
{
	char number[NUMBER_SIZE];
	struct pd_slice words[4] = { { NULL, 0 } };
	uint64_t first, next, before, end;
	int64_t asked;
	int result = read_bounds(call, &first, &next);

	if (result != 0)
		return result;
	if (!pd_slice_to_int64(call->words[2], &asked))
		return pd_error_set(call->err, PD_INVALID, "a sequence number ends at 9223372036854775807");
	before = (uint64_t)asked < next ? (uint64_t)asked : next;
	end = before > first + TRIM_PORTION ? first + TRIM_PORTION : before;
	if (end <= first) {
		pd_resp_write_integer(call->reply, 0);
		return 0;
	}
	words[2] = pd_slice_string("first");
	words[3] = pd_slice(number, (size_t)snprintf(number, sizeof number, "%" PRIu64, end));
	result = evaluate_other(call, "hset", words, 4);
	if (result == 0)
		result = drop_records(call, first, end);
	if (result == 0)
		pd_resp_write_integer(call->reply, (int64_t)(before - end));
	return result;
}

static const struct pd_command append_command = { .name = "perdure|append",
						  .arity = 3,
						  .flags = PD_COMMAND_WRITE | PD_COMMAND_DENY_OOM,
						  .first_key = 1,
						  .last_key = 1,
						  .key_step = 1,
						  .evaluate = evaluate_append };
static const struct pd_command trim_command = { .name = "perdure|trim",
						.arity = 3,
						.flags = PD_COMMAND_WRITE,
						.first_key = 1,
						.last_key = 1,
						.key_step = 1,
						.evaluate = evaluate_trim };

/* ---- looking ---- */

struct bounds {
	struct pd_slice name;
	uint64_t first, next;
};

static int look_bounds(struct perdure_session *session, struct pd_call *call, void *argument)
{
	struct bounds *bounds = argument;
	struct pd_key key;
	int result = pd_txn_key(call->txn, bounds->name, &key, call->err);

	(void)session;
	return result == 0 ? pd_append_bounds(call, &key, &bounds->first, &bounds->next) : result;
}

static int find_bounds(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		       struct bounds *bounds, struct perdure_error *err)
{
	struct pd_interest interest = { .names = &bounds->name, .name_count = 1 };
	int result = pd_embed_name(session, actor, key, &bounds->name, err);

	return result == 0 ? pd_embed_look(session, &interest, look_bounds, bounds, err) : result;
}

/* What a transaction is to trim is one portion. */
static int check_portion(struct perdure_session *session, struct perdure_bytes actor,
			 struct perdure_bytes key, uint64_t before, struct perdure_error *err)
{
	struct bounds bounds;
	int result = find_bounds(session, actor, key, &bounds, err);

	if (result != 0)
		return result;
	if (before > bounds.next)
		before = bounds.next;
	if (before <= bounds.first + TRIM_PORTION)
		return 0;
	return pd_embed_errorf(err, PERDURE_TOO_LARGE,
			       "a transaction trims %u records at once, and %" PRIu64
			       " are before that number: trim outside of it, or fewer",
			       TRIM_PORTION, before - bounds.first);
}

/* ---- public ---- */

static int run(struct perdure_session *session, const struct pd_command *command, struct perdure_bytes actor,
	       struct perdure_bytes key, struct pd_slice word, uint64_t *ret_number,
	       struct perdure_error *err)
{
	struct pd_slice words[3] = { pd_slice_string(command->name), { NULL, 0 }, word };
	struct pd_operation operation = { command, words, 3 };
	struct pd_slice encoded;
	int result = pd_embed_name(session, actor, key, &words[1], err);

	if (result == 0)
		result = pd_embed_do(session, &operation, ret_number != NULL ? &encoded : NULL, err);
	if (result == 0 && ret_number != NULL)
		*ret_number = (uint64_t)pd_reply_read(&encoded).integer;
	return result;
}

int perdure_log_append(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		       struct perdure_bytes record, uint64_t *ret_sequence, struct perdure_error *err)
{
	int result = pd_embed_enter(session, err);

	if (result != 0)
		return result;
	if (record.data == NULL && record.size > 0)
		result = pd_embed_errorf(err, PERDURE_INVALID, "bytes at NULL have size 0");
	if (result == 0)
		result = run(session, &append_command, actor, key, pd_embed_slice(record), ret_sequence, err);
	pd_embed_leave(session);
	return result;
}

int perdure_log_trim(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		     uint64_t before, struct perdure_error *err)
{
	char text[NUMBER_SIZE];
	struct pd_slice word;
	uint64_t left = 1;
	int result = pd_embed_enter(session, err);

	if (result != 0)
		return result;
	if (before > INT64_MAX)
		before = INT64_MAX;
	word = pd_slice(text, (size_t)snprintf(text, sizeof text, "%" PRIu64, before));
	if (session->transaction.state != PD_TRANSACTION_NONE)
		result = check_portion(session, actor, key, before, err);
	while (result == 0 && left > 0)
		result = run(session, &trim_command, actor, key, word, &left, err);
	pd_embed_leave(session);
	return result;
}

int perdure_log_look(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		     uint64_t *ret_first, uint64_t *ret_next, struct perdure_error *err)
{
	struct bounds bounds;
	int result = pd_embed_enter(session, err);

	if (result != 0)
		return result;
	if (ret_first == NULL || ret_next == NULL)
		result = pd_embed_errorf(err, PERDURE_INVALID, "there is no place for the numbers");
	if (result == 0)
		result = find_bounds(session, actor, key, &bounds, err);
	if (result == 0) {
		*ret_first = bounds.first;
		*ret_next = bounds.next;
	}
	pd_embed_leave(session);
	return result;
}

/* Scans: over the keys of an actor, the fields of a hash, the records of a log, the actors of a tenant; in portions. */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "embed/append.h"
#include "embed/scan.h"
#include "embed/view.h"
#include "engine/actor.h"
#include "model/kv/kv.h"

static uint64_t transaction_of(const struct perdure_session *session)
{
	return session->transaction.state != PD_TRANSACTION_NONE ? session->transaction.number : 0;
}

/* ---- a portion ---- */

struct looking {
	struct perdure_scan *scan;
	struct pd_call *call;
};

/* The value of an entry that a transaction walks over. */
static int copy_value(void *context, struct pd_slice name, const struct pd_entry *entry, uint8_t *to)
{
	struct looking *looking = context;
	struct pd_key key;
	int result = pd_txn_key(looking->call->txn, pd_buffer_slice(&looking->scan->name), &key,
				looking->call->err);

	if (result != 0)
		return result;
	key.name = name;
	return pd_kv_copy_string(looking->call, &key, entry, to);
}

static int keep_value(struct perdure_scan *scan, struct pd_slice name, const struct pd_entry *entry,
		      pd_scan_copy *copy, void *context, struct pd_slice *ret_value)
{
	void *bytes;
	int result;

	if (entry->type != PD_TYPE_LARGE)
		return pd_keep_copy(&scan->keep, entry->value, ret_value);
	*ret_value = pd_slice(NULL, (size_t)pd_kv_string_size(entry));
	result = pd_keep_take(&scan->keep, ret_value->size, &bytes);
	if (result != 0)
		return result;
	ret_value->data = bytes;
	return copy(context, name, entry, bytes);
}

int pd_scan_keep(struct perdure_scan *scan, struct pd_slice name, const struct pd_entry *entry,
		 pd_scan_copy *copy, void *context)
{
	struct perdure_item *items, *item;
	struct pd_slice key, value = { NULL, 0 };
	bool of_key = scan->kind == SCAN_KEYS;
	bool with_value = !scan->keys_only && (!of_key || pd_embed_type(entry->type) == PERDURE_TYPE_STRING);
	int result = pd_keep_copy(&scan->keep, name, &key);

	if (result == 0 && with_value)
		result = keep_value(scan, name, entry, copy, context, &value);
	if (result != 0)
		return result;
	items = pd_grow(scan->items, scan->count, &scan->capacity, sizeof *items, PORTION_FIRST);
	if (items == NULL)
		return PD_NO_MEMORY;
	scan->items = items;
	item = &items[scan->count++];
	memset(item, 0, sizeof *item);
	item->key = pd_embed_bytes(key);
	item->value = pd_embed_bytes(value);
	item->type = of_key ? pd_embed_type(entry->type) : PERDURE_TYPE_STRING;
	item->version = of_key ? entry->lsn : 0;
	item->expires_us = of_key ? entry->expires_us : 0;
	if (scan->kind == SCAN_RECORDS)
		item->number = scan->number++;
	return 0;
}

int pd_scan_behind(struct pd_buffer *buffer, struct pd_slice name)
{
	int result;

	pd_buffer_clear(buffer);
	result = pd_buffer_append_slice(buffer, name);
	return result == 0 ? pd_buffer_append(buffer, "", 1) : result;
}

/* What was walked: up to behind the last item, or all. */
static int note_stretch(struct perdure_scan *scan)
{
	struct pd_stretch *stretch = &scan->stretch;

	*stretch = (struct pd_stretch){ .actor = pd_buffer_slice(&scan->name),
					.from = pd_buffer_slice(&scan->from),
					.to = pd_buffer_slice(&scan->to),
					.to_end = scan->to.size == 0 };
	if (scan->ended)
		return 0;
	stretch->to_end = false;
	stretch->to = pd_buffer_slice(&scan->stretch_to);
	return 0;
}

/* Where the next record is to be. */
static int find_record(struct perdure_scan *scan, struct pd_call *call, const struct pd_key *key)
{
	char field[PD_APPEND_FIELD_SIZE];
	uint64_t first, next;
	int result = pd_append_bounds(call, key, &first, &next);

	if (result != 0)
		return result;
	if (scan->number == 0)
		scan->number = first;
	if (scan->number < first)
		return pd_error_set(call->err, PD_LOST,
				    "record %" PRIu64
				    " has been trimmed away: the first that is kept is %" PRIu64,
				    scan->number, first);
	pd_buffer_clear(&scan->from);
	return pd_buffer_append_slice(&scan->from, pd_append_field(scan->number, field));
}

/* Is it the one that is to come? */
static int check_record(const struct perdure_scan *scan, struct pd_call *call, struct pd_slice field)
{
	uint64_t sequence;

	if (pd_append_sequence(field, &sequence) && sequence == scan->number)
		return 0;
	return pd_error_set(call->err, PD_CORRUPT,
			    "record %" PRIu64 " of the log is missing: something else than "
			    "the functions of logs has written to it",
			    scan->number);
}

/* At the end: all that was ever appended is there. */
static int check_end(const struct perdure_scan *scan, struct pd_call *call)
{
	uint64_t first, next;
	struct pd_key key;
	int result = pd_txn_key(call->txn, pd_buffer_slice(&scan->name), &key, call->err);

	if (result == 0)
		result = pd_append_bounds(call, &key, &first, &next);
	if (result != 0 || scan->number >= next)
		return result;
	return check_record(scan, call, pd_slice(NULL, 0));
}

static int start_walk(struct perdure_scan *scan, struct pd_call *call, struct pd_walk *ret_walk)
{
	struct pd_entry entry;
	struct pd_key key;
	int result = pd_txn_key(call->txn, pd_buffer_slice(&scan->name), &key, call->err);

	if (result != 0)
		return result;
	if (scan->kind == SCAN_KEYS) {
		pd_txn_walk_keys(call->txn, key.actor, pd_buffer_slice(&scan->from), ret_walk);
		return 0;
	}
	if (scan->kind == SCAN_RECORDS)
		result = find_record(scan, call, &key);
	if (result != 0)
		return result;
	if (!pd_txn_get(call->txn, &key, &entry))
		return PD_END;
	if (entry.type != PD_TYPE_HASH)
		return pd_error_set(
			call->err, PD_WRONG_TYPE,
			"the key holds something else than a hash: look with perdure_look() what it is");
	pd_txn_walk_fields(call->txn, &key, pd_buffer_slice(&scan->from), ret_walk);
	return 0;
}

static int look_portion(struct perdure_session *session, struct pd_call *call, void *argument)
{
	struct perdure_scan *scan = argument;
	struct looking looking = { scan, call };
	uint64_t most = scan->left < scan->portion ? scan->left : scan->portion;
	struct pd_slice to = pd_buffer_slice(&scan->to), name;
	struct pd_entry entry;
	struct pd_walk walk;
	int result = start_walk(scan, call, &walk);

	(void)session;
	scan->ended = true;
	while (result == 0 && pd_walk_next(&walk, &name, &entry)) {
		if (to.size > 0 && pd_slice_compare(name, to) >= 0)
			break;
		if (scan->kind == SCAN_RECORDS)
			result = check_record(scan, call, name);
		if (result == 0)
			result = pd_scan_keep(scan, name, &entry, copy_value, &looking);
		if (result == 0 && (scan->count == most || scan->keep.size >= PORTION_BYTES)) {
			scan->ended = false;
			result = pd_scan_behind(&scan->stretch_to, name);
			break;
		}
	}
	if (result == 0 && scan->ended && scan->kind == SCAN_RECORDS)
		result = check_end(scan, call);
	if (result == 0)
		result = note_stretch(scan);
	if (result < 0 && result != PD_END && call->err->text[0] == '\0')
		return pd_error_set(call->err, result, "a portion of a scan: %s", pd_code_text(result));
	return result == PD_END ? 0 : result;
}

static int list_actors(struct pd_job *job)
{
	struct perdure_scan *scan = job->argument;
	struct pd_actor_place place = { 0 };
	struct pd_entry entry = { 0 };
	uint64_t looks = ACTOR_LOOKS;
	int result = 1;

	job->wait = pd_engine_wait_now(job->engine);
	while (result == 1 && scan->count < PORTION_MAX) {
		result = pd_engine_next_actor(job->engine, scan->session->session, pd_slice(NULL, 0),
					      scan->number, &looks, &place, &job->err);
		if (result == 1 || result == PD_AGAIN)
			scan->number = place.id;
		if (result == 1 && pd_scan_keep(scan, place.name, &entry, NULL, NULL) != 0)
			return pd_error_set(&job->err, PD_NO_MEMORY, "out of memory for a portion of a scan");
		if (result == 1) {
			scan->items[scan->count - 1].number = place.id;
			scan->items[scan->count - 1].type = PERDURE_TYPE_NONE;
		}
	}
	/* A tenant comes into being when first written to. */
	scan->ended = result == 0 || result == PD_NOT_FOUND;
	return scan->ended || result == 1 || result == PD_AGAIN ? 0 : result;
}

static int fetch(struct perdure_scan *scan, struct perdure_error *err)
{
	struct perdure_session *session = scan->session;
	struct pd_slice name = pd_buffer_slice(&scan->name);
	bool of_key = scan->kind == SCAN_KEYS;
	struct pd_interest interest = { .names = &name,
					.name_count = of_key ? 0 : 1,
					.whole = of_key,
					.stretch = of_key ? &scan->stretch : NULL };
	struct pd_job actors = { .run = list_actors, .argument = scan };
	int result;

	pd_keep_clear(&scan->keep);
	scan->count = 0;
	scan->at = 0;
	if (scan->view != NULL)
		result = pd_view_portion(scan->view, scan, err);
	else if (scan->kind == SCAN_ACTORS)
		result = pd_embed_run(session->db, &actors, err);
	else
		result = pd_embed_look(session, &interest, look_portion, scan, err);
	if (result != 0) {
		/* Whoever asks again gets the same portion, and not the end. */
		scan->count = 0;
		scan->ended = false;
		return result;
	}
	if (scan->portion < PORTION_MAX)
		scan->portion *= 2;
	if (scan->left != UINT64_MAX)
		scan->left -= scan->count;
	if (scan->left == 0)
		scan->ended = true;
	if (scan->ended || scan->kind == SCAN_ACTORS)
		return 0;
	pd_buffer_clear(&scan->from);
	result = pd_buffer_append_slice(&scan->from, pd_buffer_slice(&scan->stretch_to));
	return result == 0 ? 0
			   : pd_embed_errorf(err, result, "a portion of a scan: %s", pd_code_text(result));
}

/* ---- beginning ---- */

static int read_range(const struct perdure_range *given, struct perdure_range *ret_range,
		      struct perdure_error *err)
{
	const struct perdure_range none = PERDURE_RANGE_INIT;
	const struct perdure_bytes *all[] = { &ret_range->from, &ret_range->to, &ret_range->prefix };

	*ret_range = none;
	if (given == NULL)
		return 0;
	if (given->size < sizeof given->size + sizeof given->from || given->size > 4096)
		return pd_embed_errorf(
			err, PERDURE_INVALID,
			"the range's size is %zu: begin with struct perdure_range range = PERDURE_RANGE_INIT",
			given->size);
	memcpy(ret_range, given, given->size < sizeof *ret_range ? given->size : sizeof *ret_range);
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (all[i]->size > PERDURE_KEY_SIZE_MAX || (all[i]->data == NULL && all[i]->size > 0))
			return pd_embed_errorf(err, PERDURE_INVALID,
					       "a bound of the range has %zu bytes, of at most %u",
					       all[i]->size, PERDURE_KEY_SIZE_MAX);
	return 0;
}

/* From and to, with what the prefix says of them. */
static int set_bounds(struct perdure_scan *scan, const struct perdure_range *range)
{
	struct pd_slice prefix = pd_embed_slice(range->prefix), from = pd_embed_slice(range->from);
	struct pd_slice to = pd_embed_slice(range->to);
	size_t keep = prefix.size;
	int result;

	if (pd_slice_compare(from, prefix) < 0)
		from = prefix;
	result = pd_buffer_append_slice(&scan->from, from);
	/* The first that does not begin with the prefix any more: its last byte that is not 0xff, and one more. */
	while (keep > 0 && prefix.data[keep - 1] == 0xff)
		keep--;
	if (result == 0 && keep > 0) {
		result = pd_buffer_append(&scan->to, prefix.data, keep);
		if (result == 0)
			scan->to.data[keep - 1]++;
	}
	if (result != 0 || to.size == 0 ||
	    (scan->to.size > 0 && pd_slice_compare(to, pd_buffer_slice(&scan->to)) >= 0))
		return result;
	pd_buffer_clear(&scan->to);
	return pd_buffer_append_slice(&scan->to, to);
}

static void free_scan(struct perdure_scan *scan)
{
	pd_buffer_done(&scan->name);
	pd_buffer_done(&scan->from);
	pd_buffer_done(&scan->to);
	pd_buffer_done(&scan->stretch_to);
	pd_keep_clear(&scan->keep);
	pd_free(scan->items);
	pd_free(scan);
}

static int new_scan(struct pd_slice name, enum scan_kind kind, uint64_t number,
		    const struct perdure_range *range, struct perdure_scan **ret_scan)
{
	struct perdure_scan *scan = pd_calloc(1, sizeof *scan);
	int result;

	if (scan == NULL)
		return PD_NO_MEMORY;
	scan->kind = kind;
	scan->number = number;
	scan->keys_only = range->keys_only != 0;
	scan->left = range->limit > 0 ? range->limit : UINT64_MAX;
	scan->portion = PORTION_FIRST;
	pd_buffer_init(&scan->name, PD_NAME_SIZE_MAX + PERDURE_KEY_SIZE_MAX + 2);
	pd_buffer_init(&scan->from, PERDURE_KEY_SIZE_MAX + 1);
	pd_buffer_init(&scan->to, PERDURE_KEY_SIZE_MAX + 1);
	pd_buffer_init(&scan->stretch_to, PERDURE_KEY_SIZE_MAX + 1);
	pd_keep_init(&scan->keep, (size_t)PD_VALUE_SIZE_MAX * 2);
	result = pd_buffer_append_slice(&scan->name, name);
	if (result == 0)
		result = set_bounds(scan, range);
	if (result != 0) {
		free_scan(scan);
		return result;
	}
	*ret_scan = scan;
	return 0;
}

static void attach(struct perdure_scan *scan, struct perdure_session *session)
{
	scan->transaction = transaction_of(session);
	scan->session = session;
	scan->next = session->scans;
	if (scan->next != NULL)
		scan->next->previous = scan;
	session->scans = scan;
}

static void detach(struct perdure_scan *scan)
{
	struct perdure_session *session = scan->session;

	if (session == NULL)
		return;
	if (scan->previous != NULL)
		scan->previous->next = scan->next;
	else
		session->scans = scan->next;
	if (scan->next != NULL)
		scan->next->previous = scan->previous;
	scan->session = NULL;
	scan->next = NULL;
	scan->previous = NULL;
}

void pd_embed_detach_scans(struct perdure_session *session)
{
	while (session->scans != NULL)
		detach(session->scans);
}

static int begin(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		 enum scan_kind kind, uint64_t number, const struct perdure_range *given,
		 struct perdure_scan **ret_scan, struct perdure_error *err)
{
	struct perdure_scan *scan = NULL;
	struct perdure_range range;
	struct pd_slice name;
	int result = read_range(given, &range, err);

	if (result == 0)
		result = pd_embed_enter(session, err);
	if (result != 0)
		return result;
	if (ret_scan == NULL)
		result = pd_embed_errorf(err, PERDURE_INVALID, "there is no place for the scan");
	if (result == 0 && kind == SCAN_ACTORS)
		result = pd_embed_check_outside(session, err);
	if (result == 0)
		result = pd_embed_name(session, actor, key, &name, err);
	if (result == 0) {
		result = new_scan(name, kind, number, &range, &scan);
		if (result != 0)
			(void)pd_embed_errorf(err, result, "a scan: %s", pd_code_text(result));
	}
	if (result == 0) {
		attach(scan, session);
		result = fetch(scan, err);
	}
	if (result == 0) {
		*ret_scan = scan;
	} else if (scan != NULL) {
		detach(scan);
		free_scan(scan);
	}
	pd_embed_leave(session);
	return result;
}

int pd_scan_begin_view(struct perdure_view *view, struct pd_slice name, enum scan_kind kind,
		       const struct perdure_range *given, struct perdure_scan **ret_scan,
		       struct perdure_error *err)
{
	struct perdure_scan *scan = NULL;
	struct perdure_range range;
	int result = read_range(given, &range, err);

	if (result != 0)
		return result;
	result = new_scan(name, kind, 0, &range, &scan);
	if (result != 0)
		return pd_embed_errorf(err, result, "a scan: %s", pd_code_text(result));
	scan->view = view;
	result = fetch(scan, err);
	if (result != 0) {
		free_scan(scan);
		return result;
	}
	pd_view_hold(view);
	*ret_scan = scan;
	return 0;
}

/* ---- public ---- */

int perdure_scan_keys(struct perdure_session *session, struct perdure_bytes actor,
		      const struct perdure_range *range, struct perdure_scan **ret_scan,
		      struct perdure_error *err)
{
	return begin(session, actor, perdure_data(NULL, 0), SCAN_KEYS, 0, range, ret_scan, err);
}

int perdure_hash_scan(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		      const struct perdure_range *range, struct perdure_scan **ret_scan,
		      struct perdure_error *err)
{
	return begin(session, actor, key, SCAN_FIELDS, 0, range, ret_scan, err);
}

int perdure_log_read(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		     uint64_t from, uint64_t limit, struct perdure_scan **ret_scan, struct perdure_error *err)
{
	struct perdure_range range = PERDURE_RANGE_INIT;

	range.to = perdure_text(":"); /* behind all digits, before the names of the other fields */
	range.limit = limit;
	return begin(session, actor, key, SCAN_RECORDS, from, &range, ret_scan, err);
}

int perdure_actor_scan(struct perdure_session *session, struct perdure_scan **ret_scan,
		       struct perdure_error *err)
{
	return begin(session, perdure_data(NULL, 0), perdure_data(NULL, 0), SCAN_ACTORS, 0, NULL, ret_scan,
		     err);
}

static int next_item(struct perdure_scan *scan, struct perdure_item *ret_item, struct perdure_error *err)
{
	int result = 0;

	if (scan->session != NULL && scan->transaction != transaction_of(scan->session))
		return pd_embed_errorf(err, PERDURE_INVALID,
				       scan->transaction != 0
					       ? "this scan ended with its transaction: begin another"
					       : "this scan was begun outside of the transaction that is "
						 "open: begin another");
	while (result == 0 && scan->at == scan->count) {
		if (scan->ended)
			return pd_embed_errorf(err, PERDURE_END, "no more items");
		result = fetch(scan, err);
	}
	if (result == 0)
		*ret_item = scan->items[scan->at++];
	return result;
}

int perdure_scan_next(struct perdure_scan *scan, struct perdure_item *ret_item, struct perdure_error *err)
{
	struct perdure_session *session;
	int result;

	if (scan == NULL || ret_item == NULL)
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "perdure_scan_next() needs a scan and a place for the item");
	if (scan->view != NULL)
		return next_item(scan, ret_item, err);
	session = scan->session;
	if (session == NULL)
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "the session of this scan is gone: begin another");
	result = pd_embed_enter(session, err);
	if (result != 0)
		return result;
	result = next_item(scan, ret_item, err);
	pd_embed_leave(session);
	return result;
}

void perdure_scan_free(struct perdure_scan *scan)
{
	if (scan == NULL)
		return;
	detach(scan);
	pd_view_release(scan->view);
	free_scan(scan);
}

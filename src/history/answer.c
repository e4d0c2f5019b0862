/* Answers: which actor and which moments are meant, then page by page. */
#include "history/answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/timestamp.h"
#include "engine/engine.h"
#include "history/answer_private.h"
#include "history/diff.h"
#include "history/history_private.h"
#include "history/walk.h"
#include "model/txn.h"

/* ---- pages ---- */

static void write_moment(struct pd_resp_writer *reply, const char *name, const char *time_name,
			 const struct pd_moment *moment)
{
	char text[PD_BOOKMARK_SIZE], when[PD_TIMESTAMP_SIZE];

	pd_bookmark_format(0, moment->epoch, moment->lsn, text);
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_bulk_string(reply, text);
	pd_timestamp_format(moment->time_us, 6, when);
	pd_resp_write_bulk_string(reply, time_name);
	pd_resp_write_bulk_string(reply, when);
}

void pd_history_write_page(struct pd_resp_writer *reply, const char *cursor, const struct pd_moment *from,
			   const struct pd_moment *to, size_t count, const struct pd_buffer *entries)
{
	pd_resp_write_map(reply, 6);
	pd_resp_write_bulk_string(reply, "cursor");
	pd_resp_write_bulk_string(reply, cursor);
	write_moment(reply, "from", "from_time", from);
	write_moment(reply, "to", "to_time", to);
	pd_resp_write_bulk_string(reply, "entries");
	pd_resp_write_array(reply, count);
	pd_resp_write_raw(reply, pd_buffer_slice(entries));
}

/* ---- records ---- */

struct page {
	struct pd_history *history;
	const struct pd_history_question *question;
	uint64_t actor;
	struct pd_history_clients *clients;
	struct pd_buffer entries;
	struct pd_resp_writer writer;
	size_t count;
	uint64_t last_lsn; /* of the last entry */
};

static bool is_replay(const struct page *page)
{
	return page->question->verb == PD_HISTORY_REPLAY;
}

static bool is_full(const struct page *page)
{
	return page->count >= page->question->count || page->entries.size >= PD_HISTORY_PAGE_BYTES;
}

static int does_not_fit(const struct page *page, uint64_t lsn, struct pd_error *err)
{
	if (page->writer.failed != PD_TOO_LARGE)
		return pd_error_set(err, page->writer.failed, "out of memory for an answer");
	return pd_error_set(err, PD_TOO_LARGE,
			    "the transaction of LSN %" PRIu64
			    " has more than fits an answer: see it with 'perdure log dump --values'",
			    lsn);
}

/* 0: it is told; 1: it does not fit behind the others, and is the next page's. */
static int tell(struct page *page, const struct pd_record *record, size_t segment,
		const struct pd_history_telling *telling, struct pd_error *err)
{
	size_t before = page->entries.size;
	int result = pd_history_write_record(&page->writer, page->clients, record, segment, telling, err);

	if (result != 0 || page->writer.failed == 0)
		return result;
	if (page->writer.failed != PD_TOO_LARGE || page->count == 0)
		return does_not_fit(page, record->lsn, err);
	page->entries.size = before;
	page->writer.failed = 0;
	return 1;
}

/* 1: the page is full, and there is more; 0: all has been told. */
static int fill(struct page *page, struct pd_history_walk *walk, struct pd_error *err)
{
	struct pd_history_telling telling = { .actor = page->actor,
					      .key = page->question->key,
					      .whole = is_replay(page) };
	struct pd_log_damage damage;
	struct pd_record record;
	int result;

	for (;;) {
		result = pd_history_walk_next(walk, &record, &damage, err);
		if (result == PD_END)
			return 0;
		if (result != 0 && result != PD_CORRUPT)
			return result;
		/* What took another's place has its relations from that record on, which is told as that one's last. */
		if (result == 0 && !is_replay(page) && pd_history_replaced_by(&record, page->actor) != 0)
			continue;
		if (result == 0 && (telling.key.size > 0 || is_replay(page)) &&
		    !pd_history_record_tells(&record, &telling))
			continue;
		if (is_full(page))
			return 1;
		if (result == PD_CORRUPT) {
			pd_history_write_damage(&page->writer, &damage);
			page->last_lsn = is_replay(page) && damage.last_lsn != 0 ? damage.last_lsn
										 : damage.first_lsn;
		} else {
			result = tell(page, &record, pd_history_walk_segment(walk), &telling, err);
			if (result != 0)
				return result;
			page->last_lsn = record.lsn;
		}
		page->count++;
	}
}

/* What a key held when the log began was written by a transaction of which only the LSN is known, from the oldest checkpoint. */
static int tell_base(struct page *page, uint64_t since_lsn, struct pd_error *err)
{
	struct pd_slice name = page->question->key;
	uint8_t key[1 + PD_KEY_SIZE_MAX];
	struct pd_past_value value;
	struct pd_moment moment = { 0 };
	int result;

	if (name.size == 0 || name.size > PD_USER_KEY_SIZE_MAX || is_full(page) ||
	    since_lsn >= pd_history_first_lsn(page->history) ||
	    pd_history_oldest_state(page->history, &moment.lsn, NULL) != 0 || moment.lsn == 0)
		return 0;
	key[0] = PD_SPACE_KEY;
	memcpy(key + 1, name.data, name.size);
	result = pd_past_peek(page->history, page->actor, &moment, pd_slice(key, 1 + name.size), &value, err);
	if (result == 0 && value.there && value.entry.lsn < pd_history_first_lsn(page->history)) {
		pd_resp_write_map(&page->writer, 2);
		pd_resp_write_bulk_string(&page->writer, "lsn");
		pd_resp_write_integer(&page->writer, (int64_t)value.entry.lsn);
		pd_resp_write_bulk_string(&page->writer, "trimmed");
		pd_resp_write_boolean(&page->writer, true);
		page->count++;
	}
	pd_past_value_done(&value);
	return result;
}

/* The LSN that it says; 0: there is none. */
static int parse_cursor(const struct pd_history_question *question, uint64_t *ret_lsn, struct pd_error *err)
{
	int64_t lsn;

	*ret_lsn = 0;
	if (question->cursor.size == 0)
		return 0;
	if (!pd_slice_to_int64(question->cursor, &lsn) || lsn < 1)
		return pd_error_set(err, PD_INVALID,
				    "that is no cursor: 0 begins, and each answer says the next");
	*ret_lsn = (uint64_t)lsn;
	return 0;
}

/* [tenant/]name */
static void take_apart(const struct pd_history_question *question, struct pd_slice *ret_tenant,
		       struct pd_slice *ret_name)
{
	struct pd_slice name = question->actor;
	const uint8_t *slash = memchr(name.data, '/', name.size);

	*ret_tenant = question->tenant;
	*ret_name = name;
	if (slash == NULL)
		return;
	*ret_tenant = pd_slice(name.data, (size_t)(slash - name.data));
	*ret_name = pd_slice(slash + 1, name.size - ret_tenant->size - 1);
}

/* The actor that this one took the place of, by the record that gave it its name, and since when that had it (0: not known). PD_END: it took
 * nobody's place. */
static int find_replaced(struct page *page, uint64_t since_lsn, uint64_t *ret_actor, uint64_t *ret_since,
			 struct pd_error *err)
{
	struct pd_history_walk_options options = { .from_lsn = since_lsn - 1, .to_lsn = since_lsn };
	struct pd_moment before = { .lsn = since_lsn - 1 };
	struct pd_slice tenant, name;
	struct pd_history_walk *walk;
	struct pd_log_damage damage;
	struct pd_record record;
	uint64_t actor;
	int result;

	*ret_actor = 0;
	if (since_lsn < pd_history_first_lsn(page->history))
		return PD_END;
	result = pd_history_walk_new(page->history, &options, &walk, err);
	if (result != 0)
		return result;
	result = pd_history_walk_next(walk, &record, &damage, err);
	if (result == 0)
		*ret_actor = pd_history_replaced_by(&record, page->actor);
	pd_history_walk_free(walk);
	if (result != 0 && result != PD_CORRUPT && result != PD_END)
		return result;
	if (*ret_actor == 0)
		return PD_END;
	take_apart(page->question, &tenant, &name);
	*ret_since = 0;
	if (pd_past_actor(page->history, tenant, name, &before, &actor, ret_since, NULL) != 0)
		*ret_since = 0;
	return 0;
}

/* Who the actor was at that moment: itself, or one that it has replaced since; else nobody. */
static int find_then(struct page *page, uint64_t since_lsn, const struct pd_moment *from, uint64_t *ret_actor,
		     struct pd_error *err)
{
	uint64_t own = page->actor;
	int result = 0;

	while (result == 0 && since_lsn > from->lsn) {
		uint64_t replaced, since = 0;

		result = find_replaced(page, since_lsn, &replaced, &since, err);
		if (result == 0) {
			page->actor = replaced;
			since_lsn = since;
		}
	}
	*ret_actor = result == PD_END ? PD_DIFF_NOBODY : page->actor;
	page->actor = own;
	return result == PD_END ? 0 : result;
}

/* Of one actor after the other, each in the place of the next. 1: the page is full; 0: all has been told. */
static int fill_lives(struct page *page, struct pd_history_walk_options *options, uint64_t *since_lsn,
		      struct pd_error *err)
{
	uint64_t first_lsn = options->from_lsn;

	for (;;) {
		struct pd_history_walk *walk;
		uint64_t replaced, since = 0;
		int result;

		/* Before it had its name there is nothing of it. */
		options->actor = page->actor;
		options->from_lsn = first_lsn;
		if (*since_lsn > 0 && first_lsn < *since_lsn - 1)
			options->from_lsn = *since_lsn - 1;
		result = pd_history_walk_new(page->history, options, &walk, err);
		if (result != 0)
			return result;
		result = fill(page, walk, err);
		pd_history_walk_free(walk);
		if (result != 0 || *since_lsn == 0 || options->from_lsn <= first_lsn)
			return result;
		result = find_replaced(page, *since_lsn, &replaced, &since, err);
		if (result != 0)
			return result == PD_END ? 0 : result;
		if (options->to_lsn > *since_lsn)
			options->to_lsn = *since_lsn;
		page->actor = replaced;
		*since_lsn = since;
	}
}

static int answer_records(struct page *page, const struct pd_moment *from, const struct pd_moment *to,
			  uint64_t since_lsn, struct pd_resp_writer *reply, struct pd_error *err)
{
	struct pd_history_walk_options options = { .from_lsn = from->lsn,
						   .to_lsn = to->lsn,
						   .newest_first = true };
	uint64_t first_lsn = pd_history_first_lsn(page->history), lsn;
	char cursor[24] = "0";
	int result = parse_cursor(page->question, &lsn, err);

	if (result == 0 && lsn != 0 && lsn < options.to_lsn)
		options.to_lsn = lsn;
	/* Who names no first moment means from where the log begins. */
	if (from->lsn == 0 && options.from_lsn + 1 < first_lsn)
		options.from_lsn = first_lsn - 1;
	if (result == 0)
		result = fill_lives(page, &options, &since_lsn, err);
	if (result == 0)
		result = tell_base(page, since_lsn, err);
	else if (result == 1 && page->last_lsn > 1)
		(void)snprintf(cursor, sizeof cursor, "%" PRIu64, page->last_lsn - 1);
	if (result < 0)
		return result;
	if (page->writer.failed != 0)
		return pd_error_set(err, page->writer.failed, "out of memory for an answer");
	pd_history_write_page(reply, cursor, from, to, page->count, &page->entries);
	return 0;
}

/* ---- to do it again ---- */

/* From where on all that the actor has came to be: from where the log begins, or from a moment at which it had nothing. */
static int find_beginning(struct page *page, uint64_t *ret_lsn, struct pd_error *err)
{
	struct pd_past_cursor cursor;
	struct pd_moment oldest = { 0 };
	struct pd_entry entry;
	struct pd_past *past;
	int result;

	*ret_lsn = 0;
	if (pd_history_first_lsn(page->history) <= 1)
		return 0;
	result = pd_history_oldest_state(page->history, &oldest.lsn, err);
	if (result == 0)
		result = pd_past_open(page->history, page->actor, &oldest, &past, err);
	if (result != 0)
		return result;
	pd_past_seek(past, pd_slice(NULL, 0), pd_slice(NULL, 0), &cursor);
	result = pd_past_next_kept(&cursor, &entry, err);
	pd_past_close(past);
	if (result == 1)
		return pd_error_set(
			err, PD_NOT_FOUND,
			"the log does not reach back to the actor's beginning: export what it had at LSN "
			"%" PRIu64 " or later, and go on from there with FROM",
			oldest.lsn);
	*ret_lsn = oldest.lsn;
	return result;
}

static int answer_replay(struct page *page, const struct pd_moment *from, const struct pd_moment *to,
			 struct pd_resp_writer *reply, struct pd_error *err)
{
	struct pd_history_walk_options options = { .actor = page->actor,
						   .from_lsn = from->lsn,
						   .to_lsn = to->lsn };
	struct pd_history_walk *walk;
	char cursor[24] = "0";
	uint64_t lsn;
	int result = parse_cursor(page->question, &lsn, err);

	if (result == 0 && lsn == 0 && from->lsn == 0)
		result = find_beginning(page, &lsn, err);
	if (lsn > options.from_lsn)
		options.from_lsn = lsn;
	if (result == 0)
		result = pd_history_walk_new(page->history, &options, &walk, err);
	if (result != 0)
		return result;
	result = fill(page, walk, err);
	pd_history_walk_free(walk);
	if (result < 0)
		return result;
	if (page->writer.failed != 0)
		return pd_error_set(err, page->writer.failed, "out of memory for an answer");
	if (result == 1)
		(void)snprintf(cursor, sizeof cursor, "%" PRIu64, page->last_lsn);
	pd_history_write_page(reply, cursor, from, to, page->count, &page->entries);
	return 0;
}

/* ---- what is meant ---- */

struct meant {
	struct pd_found_moment from, to;
	uint64_t actor, since_lsn; /* who has the name at `to`, since when */
	uint64_t was;              /* of DIFF: who the actor was at `from` */
};

static int find_moment(struct page *page, const struct pd_moment_name *name, enum pd_moment_reach reach,
		       struct pd_found_moment *ret_found, struct pd_error *err)
{
	struct pd_slice tenant, actor;

	take_apart(page->question, &tenant, &actor);
	return pd_moment_find(page->history, tenant, actor, name, reach, ret_found, err);
}

/* The actor that had the name at that moment, or the one that has a copy of it. */
static int find_actor(struct page *page, const struct pd_found_moment *moment, uint64_t *ret_actor,
		      uint64_t *ret_since, struct pd_error *err)
{
	const struct pd_history_question *question = page->question;
	struct pd_slice tenant, name;

	*ret_since = 0;
	*ret_actor = moment->copy;
	if (moment->copy != 0)
		return 0;
	if (question->actor_id != 0 && question->actor_since_lsn <= moment->at.lsn) {
		*ret_actor = question->actor_id;
		*ret_since = question->actor_since_lsn;
		return 0;
	}
	take_apart(question, &tenant, &name);
	return pd_past_actor(page->history, tenant, name, &moment->at, ret_actor, ret_since, err);
}

/* Who is compared with who it is at the later moment. */
static int find_was(struct page *page, struct meant *meant, struct pd_error *err)
{
	uint64_t since;
	int result;

	if (meant->from.copy == 0 && meant->to.copy == 0)
		return find_then(page, meant->since_lsn, &meant->from.at, &meant->was, err);
	result = find_actor(page, &meant->from, &meant->was, &since, err);
	if (result == PD_NOT_THEN)
		meant->was = PD_DIFF_NOBODY;
	return result == PD_NOT_THEN ? 0 : result;
}

/* From where on: without a moment, from where the records begin. */
static int find_from(struct page *page, enum pd_moment_reach reach, struct pd_found_moment *ret_from,
		     struct pd_error *err)
{
	const struct pd_moment_name *from = &page->question->from;

	*ret_from = (struct pd_found_moment){ 0 };
	if (page->question->verb == PD_HISTORY_GET ||
	    (from->kind == PD_MOMENT_LSN && from->lsn == 0 && reach == PD_REACH_RECORDS))
		return 0;
	return find_moment(page, from, reach, ret_from, err);
}

static int find_meant(struct page *page, enum pd_moment_reach reach, struct meant *meant,
		      struct pd_error *err)
{
	int result = find_moment(page, &page->question->to, reach, &meant->to, err);

	if (result == 0)
		result = find_from(page, reach, &meant->from, err);
	if (result == 0 && page->question->verb == PD_HISTORY_DIFF)
		result = pd_diff_check(&meant->from.said, &meant->to.said, err);
	return result;
}

/* ---- answers ---- */

static int answer_state(struct page *page, struct meant *meant, struct pd_resp_writer *reply,
			struct pd_error *err)
{
	int result = find_actor(page, &meant->to, &meant->actor, &meant->since_lsn, err);

	page->actor = meant->actor;
	if (result == 0 && page->question->verb == PD_HISTORY_GET)
		return pd_history_answer_get(page->history, page->question, meant->actor, &meant->to.at,
					     reply, err);
	if (result == 0)
		result = find_was(page, meant, err);
	return result != 0 ? result
			   : pd_history_answer_diff(page->history, page->question, meant->was, meant->actor,
						    &meant->from, &meant->to, reply, err);
}

static int answer_walk(struct page *page, struct meant *meant, struct pd_resp_writer *reply,
		       struct pd_error *err)
{
	int result = find_actor(page, &meant->to, &page->actor, &meant->since_lsn, err);

	if (result != 0)
		return result;
	page->clients = pd_history_clients_new(page->history);
	if (page->clients == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for an answer");
	pd_buffer_init(&page->entries,
		       4 * PD_HISTORY_PAGE_BYTES + (is_replay(page) ? PD_HISTORY_ANSWER_MAX : 0));
	page->writer = (struct pd_resp_writer){ .buffer = &page->entries, .protocol = reply->protocol };
	result = is_replay(page) ? answer_replay(page, &meant->from.said, &meant->to.said, reply, err)
				 : answer_records(page, &meant->from.said, &meant->to.said, meant->since_lsn,
						  reply, err);
	pd_buffer_done(&page->entries);
	pd_history_clients_free(page->clients);
	return result;
}

/* The state of then can be made, or it is said why not. */
static int answer_moment(struct pd_history *history, const struct pd_history_question *question,
			 struct pd_resp_writer *reply, struct pd_error *err)
{
	struct pd_moment newest = pd_history_newest(history), moment;
	int result = pd_moment_resolve(history, &question->to, PD_REACH_STATE, &moment, err);

	if (result != 0)
		return result;
	pd_resp_write_map(reply, 4);
	write_moment(reply, "at", "at_time", &moment);
	write_moment(reply, "newest", "newest_time", &newest);
	return 0;
}

int pd_history_answer(struct pd_history *history, const struct pd_history_question *question,
		      struct pd_resp_writer *reply, struct pd_error *err)
{
	bool by_state = question->verb == PD_HISTORY_DIFF || question->verb == PD_HISTORY_GET;
	enum pd_moment_reach reach = by_state ? PD_REACH_STATE : PD_REACH_RECORDS;
	struct page page = { .history = history, .question = question };
	struct meant meant = { 0 };
	int result;

	if (question->verb == PD_HISTORY_MOMENT)
		return answer_moment(history, question, reply, err);
	result = find_meant(&page, reach, &meant, err);
	if (result != 0)
		return result;
	if (!by_state)
		return answer_walk(&page, &meant, reply, err);
	result = answer_state(&page, &meant, reply, err);
	/* Nothing is written before all of it is known. */
	while (result != 0 && (pd_moment_use_copy(history, &meant.from, result) ||
			       pd_moment_use_copy(history, &meant.to, result)))
		result = answer_state(&page, &meant, reply, err);
	return result;
}

#include "lib/log_book.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"

void book_init(struct log_book *book, uint64_t seed)
{
	*book = (struct log_book){ .random = seed * 2654435761u + 88172645463325252u, .time_us = 1000000 };
}

void book_done(struct log_book *book)
{
	book_cut(book, 0);
	free(book->records);
	*book = (struct log_book){ 0 };
}

uint64_t book_random(struct log_book *book, uint64_t below)
{
	book->random ^= book->random << 13;
	book->random ^= book->random >> 7;
	book->random ^= book->random << 17;
	return (book->random >> 11) % below;
}

static bool problem(struct log_book *book, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool problem(struct log_book *book, const char *format, ...)
{
	va_list arguments;

	if (book->problem[0] == '\0') {
		va_start(arguments, format);
		(void)vsnprintf(book->problem, sizeof book->problem, format, arguments);
		va_end(arguments);
	}
	return false;
}

/* ---- writing ---- */

static void random_bytes(struct log_book *book, uint8_t *bytes, size_t size)
{
	bool repeat = book_random(book, 4) == 0;

	for (size_t i = 0; i < size; i++)
		bytes[i] = repeat && i > 0 ? bytes[0] : (uint8_t)book_random(book, 256);
}

static void random_effect(struct log_book *book, struct pd_log_group *group)
{
	uint8_t bytes[64];
	const uint8_t *entry;
	struct pd_slice key = pd_slice(bytes, book_random(book, 32));
	struct pd_slice other = pd_slice(bytes + 32, book_random(book, 32));

	random_bytes(book, bytes, sizeof bytes);
	switch (book_random(book, 5)) {
	case 0:
		assert_int_equal(pd_log_record_delete(group, key), 0);
		break;
	case 1:
		assert_int_equal(pd_log_record_delete_range(group, key, other), 0);
		break;
	case 2:
		assert_int_equal(pd_log_record_actor(group, book_random(book, 3), 1 + book_random(book, 9)),
				 0);
		break;
	default:
		assert_int_equal(pd_log_record_put(group, (uint8_t)book_random(book, 128),
						   book_random(book, 2) * 77777, key, other, &entry),
				 0);
	}
}

void book_record(struct log_book *book, struct pd_log_group *group, size_t value_size)
{
	struct pd_record_head head = { .kind = PD_RECORD_TRANSACTION,
				       .level = (enum pd_level)book_random(book, PD_LEVEL_COUNT),
				       .tenant = book_random(book, 300),
				       .actor = 1 + book_random(book, 9),
				       .client = book_random(book, 1000) };
	const uint8_t *entry;
	uint8_t *value = malloc(value_size + 1);
	unsigned effects = (unsigned)book_random(book, 3);

	assert_non_null(value);
	book->time_us += 1 + book_random(book, 1000);
	book->record_id++;
	head.time_us = book->time_us;
	if (book_random(book, 4) == 0)
		head.principal = pd_slice_string("somebody");
	if (book_random(book, 4) == 0)
		head.idempotency_key = pd_slice_string("once-only");
	assert_int_equal(pd_log_record_begin(group, &head), 0);
	random_bytes(book, value, value_size);
	assert_int_equal(pd_log_record_put(group, 1, 0, pd_slice(&book->record_id, sizeof book->record_id),
					   pd_slice(value, value_size), &entry),
			 0);
	for (unsigned i = 0; i < effects; i++)
		random_effect(book, group);
	(void)pd_log_record_commit(group);
	free(value);
}

struct pd_log_group *book_group(struct log_book *book, unsigned records, size_t value_max)
{
	struct pd_log_group *group = pd_log_group_new();

	assert_non_null(group);
	pd_log_group_reset(group, book->count + 1);
	for (unsigned i = 0; i < records; i++)
		book_record(book, group, book_random(book, value_max + 1));
	return group;
}

static struct book_record *add(struct log_book *book)
{
	if (book->count == book->capacity) {
		book->capacity = book->capacity > 0 ? 2 * book->capacity : 64;
		book->records = realloc(book->records, book->capacity * sizeof *book->records);
		assert_non_null(book->records);
	}
	book->records[book->count] = (struct book_record){ 0 };
	return &book->records[book->count++];
}

static void add_actor(struct book_record *record, uint64_t actor)
{
	for (size_t i = 0; i < record->actor_count; i++)
		if (record->actors[i] == actor)
			return;
	assert_true(record->actor_count < BOOK_ACTORS);
	record->actors[record->actor_count++] = actor;
}

void book_note(struct log_book *book, uint64_t epoch, const struct pd_log_group *group)
{
	const uint8_t *at = group->data + PD_GROUP_HEADER_SIZE;
	const uint8_t *end = group->data + group->size;

	assert_int_equal(group->first_lsn, book->count + 1);
	while (at < end) {
		struct book_record *note = add(book);
		struct pd_effect_walk walk;
		struct pd_record record;
		struct pd_effect effect;

		assert_int_equal(pd_record_decode(pd_slice(at, (size_t)(end - at)), 0, &record, NULL), 0);
		note->epoch = epoch;
		note->group_first = group->first_lsn;
		note->group_last = pd_log_group_last_lsn(group);
		add_actor(note, record.head.actor);
		pd_effect_walk_init(&walk, &record);
		while (pd_effect_next(&walk, &effect) == 0)
			add_actor(note, effect.actor);
		note->size = record.bytes.size - 4;
		note->bytes = malloc(note->size);
		assert_non_null(note->bytes);
		memcpy(note->bytes, at + 4, note->size);
		at += record.bytes.size;
	}
	assert_int_equal(pd_log_group_last_lsn(group), book->count);
}

int book_submit(struct log_book *book, struct pd_log *log, struct pd_log_group *group, enum pd_log_sync sync)
{
	book_note(book, log->epoch, group);
	return pd_log_submit(log, group, sync);
}

void book_write(struct log_book *book, struct pd_log *log, struct pd_log_group *group, enum pd_log_sync sync)
{
	struct pd_log_group *done;

	check(pd_log_reserve(log, group->size, why));
	while (!pd_log_can_submit(log)) {
		assert_int_equal(pd_log_reap(log, true, &done), 0);
		while (done != NULL) {
			struct pd_log_group *next = done->next;

			pd_log_group_free(done);
			done = next;
		}
	}
	assert_int_equal(book_submit(book, log, group, sync), 0);
	assert_int_equal(pd_log_reap(log, true, &done), 0);
	while (done != NULL) {
		struct pd_log_group *next = done->next;

		pd_log_group_free(done);
		done = next;
	}
}

int book_begin(struct log_book *book, struct pd_log *log, struct pd_error *err)
{
	struct book_record *note;
	int result;

	book->time_us++;
	book->begin_tried = true;
	result = pd_log_begin(log, book->time_us, err);
	if (result != 0)
		return result;
	book->begin_tried = false;
	if (log->epoch <= book->epoch || log->marks.tail_lsn <= book->count) {
		(void)problem(book,
			      "epoch %" PRIu64 " begins at LSN %" PRIu64 ", after epoch %" PRIu64 " at %zu",
			      log->epoch, log->marks.tail_lsn, book->epoch, book->count);
		return pd_error_set(err, PD_CORRUPT, "%s", book->problem);
	}
	book->epoch = log->epoch;
	/* LSNs that a loss made unknown are not given again. */
	while (book->count + 1 < log->marks.tail_lsn)
		(void)add(book);
	note = add(book);
	note->epoch = log->epoch;
	note->group_first = note->group_last = book->count;
	add_actor(note, 0);
	return 0;
}

void book_cut(struct log_book *book, uint64_t last_lsn)
{
	while (book->count > last_lsn)
		free(book->records[--book->count].bytes);
}

/* ---- reading ---- */

bool book_same(struct log_book *book, const struct pd_record *record)
{
	const struct book_record *note;

	if (book->begin_tried && record->lsn == book->count + 1 && record->head.kind == PD_RECORD_EPOCH &&
	    record->head.old_last_lsn == book->count && record->epoch > book->epoch) {
		book->epoch = record->epoch;
		add(book)->epoch = record->epoch;
		return true;
	}
	if (record->lsn == 0 || record->lsn > book->count)
		return problem(book, "LSN %" PRIu64 " of %zu was never written", record->lsn, book->count);
	note = &book->records[record->lsn - 1];
	if (record->epoch != note->epoch)
		return problem(book, "LSN %" PRIu64 " has epoch %" PRIu64 ", not %" PRIu64, record->lsn,
			       record->epoch, note->epoch);
	if (note->bytes == NULL)
		return record->head.kind == PD_RECORD_EPOCH && record->head.old_last_lsn == record->lsn - 1
			       ? true
			       : problem(book, "LSN %" PRIu64 " is not its epoch's record", record->lsn);
	if (record->bytes.size - 4 != note->size ||
	    memcmp(record->bytes.data + 4, note->bytes, note->size) != 0)
		return problem(book, "LSN %" PRIu64 " is not what was written", record->lsn);
	return true;
}

static bool is_actor_of(const struct log_book *book, uint64_t actor, uint64_t first, uint64_t last)
{
	for (uint64_t lsn = first; lsn <= last && lsn <= book->count; lsn++)
		for (size_t i = 0; i < book->records[lsn - 1].actor_count; i++)
			if (book->records[lsn - 1].actors[i] == actor)
				return true;
	return false;
}

static bool is_named(const struct pd_log_damage *damage, uint64_t actor)
{
	for (size_t i = 0; i < damage->actor_count; i++)
		if (damage->actors[i] == actor)
			return true;
	return false;
}

bool book_same_actors(struct log_book *book, const struct pd_log_damage *damage)
{
	uint64_t first = damage->first_lsn, last = damage->last_lsn;

	if (last < first)
		return damage->actor_count == 0 ? true : problem(book, "actors of nothing");
	if (last > book->count)
		return problem(book, "damage up to LSN %" PRIu64 " of %zu", last, book->count);
	/* An epoch's own record is nobody's: it may be named or not. */
	for (uint64_t lsn = first; lsn <= last; lsn++)
		for (size_t i = 0;
		     book->records[lsn - 1].bytes != NULL && i < book->records[lsn - 1].actor_count; i++)
			if (!is_named(damage, book->records[lsn - 1].actors[i]))
				return problem(book, "actor %" PRIu64 " of LSN %" PRIu64 " is not named",
					       book->records[lsn - 1].actors[i], lsn);
	/* What is named too much stands at least in the same groups. */
	for (size_t i = 0; i < damage->actor_count; i++)
		if (!is_actor_of(book, damage->actors[i], book->records[first - 1].group_first,
				 book->records[last - 1].group_last))
			return problem(book, "actor %" PRIu64 " is named for LSN %" PRIu64 " to %" PRIu64,
				       damage->actors[i], first, last);
	return true;
}

bool book_read(struct log_book *book, struct pd_log *log, uint64_t from_lsn, struct pd_log_end *ret_end)
{
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_error err = { 0 };
	uint64_t lsn = from_lsn;
	bool same = true;
	int result;

	book->problem[0] = '\0';
	result = pd_log_reader_new(log, from_lsn, &reader, &err);
	if (result != 0)
		return problem(book, "%s", err.text);
	while (same && (result = pd_log_reader_next(reader, &record, &damage, &err)) == 0) {
		same = record.lsn == lsn
			       ? book_same(book, &record)
			       : problem(book, "LSN %" PRIu64 " comes, not %" PRIu64, record.lsn, lsn);
		lsn++;
	}
	if (same && result != PD_END)
		same = problem(book, "at LSN %" PRIu64 ": %d %s", lsn, result, err.text);
	if (same) {
		pd_log_reader_end(reader, ret_end);
		if (ret_end->last_lsn + 1 != lsn && from_lsn <= ret_end->last_lsn)
			same = problem(book, "the end is LSN %" PRIu64 ", not %" PRIu64, ret_end->last_lsn,
				       lsn - 1);
	}
	pd_log_reader_free(reader);
	return same;
}

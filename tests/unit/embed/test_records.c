/* The directory's own log, read by a program: what was done, by whom it is, from a bookmark on. */
#include "host.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

static struct perdure_records *open_records(struct host *host, const char *after)
{
	struct perdure_records *records;

	assert_ok(host, perdure_records_new(host->db, after, &records, &host->err));
	return records;
}

/* Bytes, as text, between two others. */
static size_t add_bytes(char *text, size_t size, size_t used, const char *before, struct perdure_bytes bytes,
			const char *behind)
{
	return used + (size_t)snprintf(text + used, size - used, "%s%.*s%s", before,
				       bytes.size < 40 ? (int)bytes.size : 40,
				       bytes.data != NULL ? (const char *)bytes.data : "", behind);
}

/* "default/user:42 PUT a=1; DEL b" */
static const char *told(const struct perdure_record *record)
{
	static char text[8192];
	size_t used = 0, size = sizeof text;

	text[0] = '\0';
	for (size_t i = 0; i < record->effect_count; i++) {
		const struct perdure_effect *effect = &record->effects[i];

		used += (size_t)snprintf(text + used, size - used, "%s", i > 0 ? "; " : "");
		used = add_bytes(text, size, used, "", effect->tenant, "/");
		used = add_bytes(text, size, used, "", effect->actor, " ");
		used += (size_t)snprintf(text + used, size - used, "%s ",
					 effect->kind == PERDURE_EFFECT_PUT      ? "PUT"
					 : effect->kind == PERDURE_EFFECT_DELETE ? "DEL"
										 : "RANGE");
		switch (effect->place) {
		case PERDURE_PLACE_KEY:
			used = add_bytes(text, size, used, "", effect->key, "");
			break;
		case PERDURE_PLACE_FIELD:
			used = add_bytes(text, size, used, "", effect->key, "");
			used = add_bytes(text, size, used, "[", effect->field, "]");
			break;
		case PERDURE_PLACE_CHUNK:
			used += (size_t)snprintf(text + used, size - used, "blob%s",
						 effect->blob > 0 ? "" : "?");
			break;
		case PERDURE_PLACE_ACTOR:
			used += (size_t)snprintf(text + used, size - used, "all");
			break;
		default:
			used += (size_t)snprintf(text + used, size - used, "other");
		}
		if (effect->kind != PERDURE_EFFECT_PUT)
			continue;
		if (effect->type == PERDURE_TYPE_HASH || effect->blob > 0)
			used += (size_t)snprintf(text + used, size - used, "#%llu",
						 (unsigned long long)effect->size);
		else
			used = add_bytes(text, size, used, "=", effect->value, "");
	}
	return text;
}

/* The next one that has effects, which are these. */
static void expect(struct host *host, struct perdure_records *records, const char *wanted)
{
	const struct perdure_record *record;

	do
		assert_ok(host, perdure_records_next(records, &record, &host->err));
	while (record->effect_count == 0);
	assert_string_equal(told(record), wanted);
	assert_int_equal(record->kind, PERDURE_RECORD_TRANSACTION);
}

static void expect_end(struct host *host, struct perdure_records *records)
{
	const struct perdure_record *record;
	int result;

	/* Records of the engine's own may come. */
	while ((result = perdure_records_next(records, &record, &host->err)) == 0)
		assert_int_equal(record->effect_count, 0);
	assert_int_equal(result, PERDURE_END);
}

static void test_effects(void **state)
{
	struct host *host = *state;
	struct perdure_records *records = open_records(host, NULL);
	struct perdure_session *acme;
	const struct perdure_record *record;

	assert_ok(host, perdure_records_next(records, &record, &host->err));
	assert_int_equal(record->kind, PERDURE_RECORD_EPOCH);
	expect_end(host, records);
	host_put(host, host->session, "a", "1");
	assert_ok(host, perdure_hash_set(host->session, ACTOR, perdure_text("h"), perdure_text("f"),
					 perdure_text("v"), NULL, &host->err));
	assert_ok(host, perdure_session_new(host->db, "acme", &acme, &host->err));
	assert_ok(host,
		  perdure_put(acme, perdure_text("x"), perdure_text("k"), perdure_text("w"), &host->err));
	expect(host, records, "default/user:42 PUT a=1");
	expect(host, records, "default/user:42 PUT h#1; default/user:42 PUT h[f]=v");
	expect(host, records, "acme/x PUT k=w");
	expect_end(host, records);
	host_begin(host, host->session);
	host_put(host, host->session, "b", "");
	assert_ok(host, perdure_put(host->session, perdure_text("other"), perdure_text("k"),
				    perdure_text("v"), &host->err));
	assert_ok(host, perdure_delete(host->session, ACTOR, perdure_text("a"), NULL, &host->err));
	host_commit(host, host->session);
	expect(host, records, "default/user:42 PUT b=; default/other PUT k=v; default/user:42 DEL a");
	assert_ok(host, perdure_delete(host->session, ACTOR, perdure_text("h"), NULL, &host->err));
	expect(host, records, "default/user:42 DEL h; default/user:42 RANGE h[]");
	assert_ok(host, perdure_actor_drop(host->session, ACTOR, &host->err));
	expect(host, records, "default/user:42 RANGE all");
	expect_end(host, records);
	perdure_session_free(acme);
	perdure_records_free(records);
}

static void test_facts(void **state)
{
	struct host *host = *state;
	struct perdure_transaction_options options = PERDURE_TRANSACTION_OPTIONS_INIT;
	struct perdure_records *records;
	const struct perdure_record *record;
	struct perdure_receipt receipt;

	options.request_id = perdure_text("request 7");
	options.idempotency_key = perdure_text("key 7");
	options.level = PERDURE_LEVEL_STANDARD;
	assert_ok(host, perdure_begin(host->session, &options, &host->err));
	assert_ok(host, perdure_put_until(host->session, ACTOR, perdure_text("a"), perdure_text("1"),
					  UINT64_C(4102444800000000), &host->err));
	assert_ok(host, perdure_commit(host->session, &receipt, &host->err));
	assert_ok(host, perdure_sync(host->db, &host->err));
	records = open_records(host, NULL);
	do
		assert_ok(host, perdure_records_next(records, &record, &host->err));
	while (record->effect_count == 0);
	assert_string_equal(record->bookmark, receipt.bookmark);
	assert_int_equal(record->lsn, receipt.lsn);
	assert_int_equal(record->epoch, receipt.epoch);
	assert_int_equal(record->time_us, receipt.time_us);
	assert_int_equal(record->level, PERDURE_LEVEL_STANDARD);
	assert_true(record->client > 0);
	assert_memory_equal(record->request_id.data, "request 7", 9);
	assert_memory_equal(record->idempotency_key.data, "key 7", 5);
	assert_int_equal(record->effects[0].expires_us, UINT64_C(4102444800000000));
	assert_int_equal(record->effects[0].type, PERDURE_TYPE_STRING);
	perdure_records_free(records);
}

static void test_large(void **state)
{
	struct host *host = *state;
	struct perdure_records *records;
	const struct perdure_record *record;
	size_t size = (size_t)3 << 20;
	char *value = malloc(size);
	uint64_t bytes = 0, head = 0, removed = 0;
	int result;

	assert_non_null(value);
	memset(value, 'x', size);
	assert_ok(host, perdure_put(host->session, ACTOR, perdure_text("large"), perdure_data(value, size),
				    &host->err));
	host_put(host, host->session, "large", "small");
	free(value);
	records = open_records(host, NULL);
	while ((result = perdure_records_next(records, &record, &host->err)) == 0)
		for (size_t i = 0; i < record->effect_count; i++) {
			const struct perdure_effect *effect = &record->effects[i];

			if (effect->kind == PERDURE_EFFECT_PUT && effect->place == PERDURE_PLACE_CHUNK) {
				assert_int_equal(effect->size, effect->value.size);
				bytes += effect->size;
			} else if (effect->kind == PERDURE_EFFECT_PUT && effect->blob > 0) {
				assert_int_equal(effect->value.size, 0);
				head = effect->size;
			}
			removed += effect->kind == PERDURE_EFFECT_DELETE_RANGE &&
				   effect->place == PERDURE_PLACE_CHUNK;
		}
	assert_int_equal(result, PERDURE_END);
	assert_int_equal(bytes, size);
	assert_int_equal(head, size);
	assert_int_equal(removed, 1);
	perdure_records_free(records);
}

/* Another life goes on where the last one was; what it had not handled comes, and nothing twice. */
static void test_bookmarks(void **state)
{
	struct host *host = *state;
	struct perdure_records *records = NULL;
	char bookmark[PERDURE_BOOKMARK_SIZE] = "", value[16], wanted[64];
	unsigned seen = 0;

	for (unsigned life = 0; life < 5; life++) {
		for (unsigned i = 0; i < 20; i++) {
			(void)snprintf(value, sizeof value, "%u", 20 * life + i);
			host_put(host, host->session, "a", value);
		}
		perdure_records_free(records);
		records = open_records(host, bookmark[0] != '\0' ? bookmark : NULL);
		for (unsigned i = 0; i < 15; i++) {
			const struct perdure_record *record;

			do
				assert_ok(host, perdure_records_next(records, &record, &host->err));
			while (record->effect_count == 0);
			(void)snprintf(wanted, sizeof wanted, "default/user:42 PUT a=%u", seen++);
			assert_string_equal(told(record), wanted);
			(void)snprintf(bookmark, sizeof bookmark, "%s", record->bookmark);
		}
		host_close(host);
		{
			const struct perdure_record *record;

			assert_refused(host, perdure_records_next(records, &record, &host->err),
				       PERDURE_INVALID);
		}
		host_open(host);
	}
	perdure_records_free(records);
	/* A moment that is yet to come, one that never was, and none at all. */
	assert_refused(
		host, perdure_records_new(host->db, "0000-0000000001-0000000000000000", &records, &host->err),
		PERDURE_INVALID);
	assert_refused(
		host, perdure_records_new(host->db, "0000-00000000ff-0000000000000001", &records, &host->err),
		PERDURE_AGAIN);
	assert_refused(host, perdure_records_new(host->db, "yesterday", &records, &host->err),
		       PERDURE_INVALID);
}

/* Beyond where the epoch that wrote it has ended by now: a crash took it. */
static void test_lost(void **state)
{
	struct host *host = *state;
	struct perdure_receipt receipt;
	struct perdure_records *records;
	char bookmark[PERDURE_BOOKMARK_SIZE];

	host_put(host, host->session, "a", "1");
	assert_ok(host, perdure_last_receipt(host->session, &receipt, &host->err));
	(void)snprintf(bookmark, sizeof bookmark, "0000-%010llx-%016llx", (unsigned long long)receipt.epoch,
		       (unsigned long long)receipt.lsn + 1000);
	host_close(host);
	host_open(host);
	assert_refused(host, perdure_records_new(host->db, bookmark, &records, &host->err), PERDURE_LOST);
	assert_non_null(strstr(host->err.text, "crash"));
}

static void test_trimmed(void **state)
{
	struct host *host = *state;
	struct perdure_records *records, *late;
	const struct perdure_record *record;
	struct perdure_receipt first;
	size_t size = (size_t)200 << 10;
	char *value = calloc(1, size);
	int result = 0;

	assert_non_null(value);
	host_close(host);
	host->options.retention_s = 1;
	host->options.retention_bytes = 1;
	host_open(host);
	host_put(host, host->session, "a", "1");
	assert_ok(host, perdure_last_receipt(host->session, &first, &host->err));
	records = open_records(host, first.bookmark);
	late = open_records(host, first.bookmark);
	for (unsigned i = 0; i < 120; i++)
		assert_ok(host, perdure_put(host->session, ACTOR, perdure_text("b"),
					    perdure_data(value, size), &host->err));
	free(value);
	assert_ok(host, perdure_records_next(records, &record, &host->err));
	for (unsigned i = 0; i < 100 && result == 0; i++) {
		struct perdure_records *again;

		assert_ok(host, perdure_upkeep(host->db, PERDURE_UPKEEP_COMPACT_LOG, NULL, 0, &host->err));
		result = perdure_records_new(host->db, first.bookmark, &again, &host->err);
		if (result == 0)
			perdure_records_free(again);
		host_put(host, host->session, "a", "2");
		(void)usleep(20000);
	}
	assert_int_equal(result, PERDURE_VIEW_TOO_OLD);
	assert_non_null(strstr(host->err.text, "trimmed"));
	assert_refused(host, perdure_records_next(late, &record, &host->err), PERDURE_VIEW_TOO_OLD);
	/* Who was in the middle is told, or had it in memory. */
	while ((result = perdure_records_next(records, &record, &host->err)) == 0)
		;
	assert_true(result == PERDURE_VIEW_TOO_OLD || result == PERDURE_END);
	perdure_records_free(records);
	perdure_records_free(late);
	records = open_records(host, NULL);
	while ((result = perdure_records_next(records, &record, &host->err)) == 0)
		;
	assert_int_equal(result, PERDURE_END);
	perdure_records_free(records);
}

/* ---- beside writers ---- */

struct writer {
	struct host *host;
	unsigned number;
	int result;
};

#define WRITES 150u

static void *write_numbers(void *argument)
{
	struct writer *writer = argument;
	struct perdure_session *session;
	struct perdure_error err;
	char actor[16], value[16];

	writer->result = perdure_session_new(writer->host->db, NULL, &session, &err);
	(void)snprintf(actor, sizeof actor, "writer:%u", writer->number);
	for (unsigned i = 0; writer->result == 0 && i < WRITES; i++) {
		(void)snprintf(value, sizeof value, "%u", i);
		writer->result = perdure_put(session, perdure_text(actor), perdure_text("n"),
					     perdure_text(value), &err);
	}
	perdure_session_free(session);
	return NULL;
}

static void test_beside_writers(void **state)
{
	struct host *host = *state;
	struct perdure_records *records = open_records(host, NULL);
	const struct perdure_record *record;
	struct writer writers[3];
	pthread_t threads[3];
	unsigned next[3] = { 0 };
	uint64_t lsn = 0;

	for (unsigned i = 0; i < 3; i++) {
		writers[i] = (struct writer){ host, i, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, write_numbers, &writers[i]), 0);
	}
	while (next[0] + next[1] + next[2] < 3 * WRITES) {
		int result = perdure_records_next(records, &record, &host->err);

		if (result == PERDURE_END) {
			(void)usleep(200);
			continue;
		}
		assert_ok(host, result);
		assert_true(record->lsn == lsn + 1 || lsn == 0);
		lsn = record->lsn;
		for (size_t i = 0; i < record->effect_count; i++) {
			const struct perdure_effect *effect = &record->effects[i];
			unsigned writer = (unsigned)(((const char *)effect->actor.data)[7] - '0');
			char text[16] = "";

			memcpy(text, effect->value.data, effect->value.size);
			assert_true(writer < 3);
			assert_int_equal(strtoul(text, NULL, 10), next[writer]++);
		}
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(writers[i].result, 0);
	}
	perdure_records_free(records);
}

static void test_misuse(void **state)
{
	struct host *host = *state;
	struct perdure_records *records;
	const struct perdure_record *record;

	assert_refused(host, perdure_records_new(host->db, NULL, &records, &host->err),
		       PERDURE_NOT_SUPPORTED);
	assert_refused(host, perdure_records_new(NULL, NULL, &records, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_records_new(host->db, NULL, NULL, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_records_next(NULL, &record, &host->err), PERDURE_INVALID);
	perdure_records_free(NULL);
}

#define ON_DISK(test)   cmocka_unit_test_setup_teardown(test, host_setup, host_teardown)
#define IN_MEMORY(test) cmocka_unit_test_setup_teardown(test, host_setup_memory, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_DISK(test_effects),        ON_DISK(test_facts),    ON_DISK(test_large),
		ON_DISK(test_bookmarks),      ON_DISK(test_lost),     ON_DISK(test_trimmed),
		ON_DISK(test_beside_writers), IN_MEMORY(test_misuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

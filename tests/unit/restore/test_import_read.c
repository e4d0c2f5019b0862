/* Lines into entries: what is taken, and what is wrong with each line that is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "restore/entry.h"
#include "restore/export.h"
#include "restore/import_read.h"
#include "store/memtable.h"

#define HEADER  "{\"perdure_actor\":1" HEADER_REST
#define HEADER2 "{\"perdure_actor\":2" HEADER_REST
#define HEADER_REST                                                                                      \
	",\"actor\":\"ann\",\"at\":\"0000-0000000001-0000000000000007\",\"at_time\":"                    \
	"\"2026-01-15T14:30:00.000000Z\",\"durability\":\"default\",\"quota_keys\":0,\"quota_bytes\":0," \
	"\"quota_ops\":0,\"expire_after_s\":0}\n"
#define RELATION(side, kind, actor, data) \
	"{\"relation\":\"" side "\",\"kind\":\"" kind "\",\"actor\":\"" actor "\",\"data\":\"" data "\"}\n"
#define LARGE_MIN 20u
#define CHUNK     8u

struct reading {
	struct pd_import_reader reader;
	struct pd_buffer entries;
	struct pd_error err;
	int result;
};

static void reading_init(struct reading *reading)
{
	memset(reading, 0, sizeof *reading);
	pd_import_reader_init(&reading->reader, (struct pd_blob){ .size = LARGE_MIN, .chunk = CHUNK }, 1000);
	pd_buffer_init(&reading->entries, (size_t)16 * 1024 * 1024);
}

static void reading_done(struct reading *reading)
{
	pd_import_reader_done(&reading->reader);
	pd_buffer_done(&reading->entries);
}

/* In pieces of that size. */
static void feed(struct reading *reading, struct pd_slice text, size_t piece)
{
	uint64_t next_number = 1;

	for (size_t at = 0; at < text.size && reading->result == 0;) {
		size_t size = text.size - at < piece ? text.size - at : piece, taken;
		enum pd_import_stop stop;

		reading->result = pd_import_read(&reading->reader, pd_slice(text.data + at, size), &taken,
						 &reading->entries, &stop, &reading->err);
		assert_true(taken <= size);
		assert_true(reading->result != 0 || taken > 0 || stop != PD_IMPORT_ALL);
		at += taken;
		if (stop == PD_IMPORT_NUMBERS)
			pd_import_reader_give(&reading->reader, next_number++, 1);
		if (stop == PD_IMPORT_FULL)
			pd_buffer_clear(&reading->entries);
	}
	/* What was held back where it was full, or before there were numbers. */
	while (reading->result == 0 && reading->reader.whole) {
		enum pd_import_stop stop;
		size_t taken;

		reading->result = pd_import_read(&reading->reader, pd_slice(NULL, 0), &taken,
						 &reading->entries, &stop, &reading->err);
		if (stop == PD_IMPORT_NUMBERS)
			pd_import_reader_give(&reading->reader, next_number++, 1);
		if (stop == PD_IMPORT_FULL)
			pd_buffer_clear(&reading->entries);
	}
	if (reading->result == 0)
		reading->result = pd_import_read_end(&reading->reader, &reading->err);
}

/* With the last line that belongs to it. */
static struct pd_slice finish(const char *lines, unsigned keys, struct pd_buffer *into)
{
	uint8_t digest[PD_SHA256_SIZE];
	unsigned count = 0;

	for (const char *at = lines; *at != '\0'; at++)
		count += *at == '\n';
	pd_buffer_clear(into);
	assert_int_equal(pd_crypto_sha256(pd_slice_string(lines), digest), 0);
	assert_int_equal(pd_buffer_printf(into,
					  "%s{\"end\":true,\"lines\":%u,\"keys\":%u,\"state_hash\":"
					  "\"000102030405060708090a0b0c0d0e0f\",\"sha256\":\"",
					  lines, count, keys),
			 0);
	for (size_t i = 0; i < sizeof digest; i++)
		assert_int_equal(pd_buffer_printf(into, "%02x", digest[i]), 0);
	assert_int_equal(pd_buffer_append(into, "\"}\n", 3), 0);
	return pd_buffer_slice(into);
}

static const char sample[] = HEADER2
	"{\"key\":\"\",\"value\":\"\"}\n"
	"{\"key\":\"\\\"\\\\\\n\\r\\t\",\"expires_us\":5,\"value\":\"Rome\"}\n"
	"{\"key\":\"a\",\"fields\":2}\n"
	"{\"field\":\"\",\"value\":{\"base64\":\"AP8=\"}}\n"
	"{\"field\":\"f\",\"size\":9}\n"
	"{\"part\":\"01234\"}\n"
	"{\"part\":\"5678\"}\n"
	"{\"key\":\"b\",\"size\":20}\n"
	"{\"part\":\"0123456789\"}\n"
	"{\"part\":\"0123456789\"}\n"
	"{\"key\":\"c\",\"value\":\"012345678901234567890123\"}\n"
	"{\"key\":\"d\",\"size\":3}\n"
	"{\"part\":\"012\"}\n"
	"{\"key\":{\"base64\":\"/wE=\"},\"value\":\"x\"}\n" RELATION("in", "related", "ann", "")
		RELATION("out", "member", "team:blue", "since 2024")
			RELATION("out", "member-of", "a", "\\\"");
#define SAMPLE_KEYS 7

static void expect(const struct pd_buffer *entries, size_t *at, uint8_t type, uint64_t expires_us,
		   struct pd_slice key, struct pd_slice value)
{
	struct pd_entry entry;

	assert_true(*at < entries->size);
	pd_entry_read(entries->data + *at, 0, &entry);
	*at += pd_entry_size(entry.bytes);
	assert_int_equal(entry.type, type);
	assert_int_equal(entry.expires_us, expires_us);
	assert_true(pd_slice_equal(entry.key, key));
	assert_true(pd_slice_equal(entry.value, value));
}

#define BYTES(text) pd_slice(text, sizeof text - 1)

static void check_sample(const struct reading *reading)
{
	const struct pd_buffer *entries = &reading->entries;
	size_t at = 0;

	expect(entries, &at, PD_TYPE_STRING, 0, BYTES("k"), BYTES(""));
	expect(entries, &at, PD_TYPE_STRING, 5, BYTES("k\"\\\n\r\t"), BYTES("Rome"));
	expect(entries, &at, PD_TYPE_HASH, 0, BYTES("ka"), BYTES("\x02"));
	expect(entries, &at, PD_TYPE_FIELD, 0, BYTES("f\0\1a"), BYTES("\0\xff"));
	expect(entries, &at, PD_TYPE_FIELD, 0, BYTES("f\0\1af"), BYTES("012345678"));
	expect(entries, &at, PD_TYPE_CHUNK, 0, BYTES("c\0\0\0\0\0\0\0\1\0\0\0\0"), BYTES("01234567"));
	expect(entries, &at, PD_TYPE_CHUNK, 0, BYTES("c\0\0\0\0\0\0\0\1\0\0\0\1"), BYTES("89012345"));
	expect(entries, &at, PD_TYPE_CHUNK, 0, BYTES("c\0\0\0\0\0\0\0\1\0\0\0\2"), BYTES("6789"));
	expect(entries, &at, PD_TYPE_LARGE, 0, BYTES("kb"), BYTES("\x14\x01\x08"));
	/* However it was written, it is kept as strings of its size are. */
	expect(entries, &at, PD_TYPE_CHUNK, 0, BYTES("c\0\0\0\0\0\0\0\2\0\0\0\0"), BYTES("01234567"));
	expect(entries, &at, PD_TYPE_CHUNK, 0, BYTES("c\0\0\0\0\0\0\0\2\0\0\0\1"), BYTES("89012345"));
	expect(entries, &at, PD_TYPE_CHUNK, 0, BYTES("c\0\0\0\0\0\0\0\2\0\0\0\2"), BYTES("67890123"));
	expect(entries, &at, PD_TYPE_LARGE, 0, BYTES("kc"), BYTES("\x18\x02\x08"));
	expect(entries, &at, PD_TYPE_STRING, 0, BYTES("kd"), BYTES("012"));
	expect(entries, &at, PD_TYPE_STRING, 0, BYTES("k\xff\x01"), BYTES("x"));
	assert_int_equal(at, entries->size);
	entries = &reading->reader.relations;
	at = 0;
	expect(entries, &at, PD_TYPE_RELATION, 0, BYTES("rirelated\0ann"), BYTES(""));
	expect(entries, &at, PD_TYPE_RELATION, 0, BYTES("romember\0team:blue"), BYTES("since 2024"));
	expect(entries, &at, PD_TYPE_RELATION, 0, BYTES("romember-of\0a"), BYTES("\""));
	assert_int_equal(at, entries->size);
	assert_int_equal(reading->reader.relation_count, 3);
	assert_int_equal(reading->reader.keys, SAMPLE_KEYS);
	assert_true(pd_slice_equal(pd_buffer_slice(&reading->reader.actor), BYTES("ann")));
	assert_int_equal(reading->reader.hash.high, 0x0001020304050607);
	assert_int_equal(reading->reader.hash.low, 0x08090a0b0c0d0e0f);
}

static void test_taken(void **state)
{
	struct reading reading;
	struct pd_buffer text;

	(void)state;
	pd_buffer_init(&text, 1 << 20);
	finish(sample, SAMPLE_KEYS, &text);
	for (size_t piece = 1; piece < text.size + 5; piece += 1 + piece / 3) {
		reading_init(&reading);
		feed(&reading, pd_buffer_slice(&text), piece);
		if (reading.result != 0)
			fail_msg("in pieces of %zu: %s", piece, reading.err.text);
		check_sample(&reading);
		reading_done(&reading);
	}
	pd_buffer_done(&text);
}

/* ---- a file that is not what it was ---- */

static void test_cut(void **state)
{
	struct reading reading;
	struct pd_buffer text;

	(void)state;
	pd_buffer_init(&text, 1 << 20);
	finish(sample, SAMPLE_KEYS, &text);
	for (size_t size = 0; size < text.size; size++) {
		reading_init(&reading);
		feed(&reading, pd_slice(text.data, size), 100);
		assert_int_equal(reading.result, PD_CORRUPT);
		assert_non_null(strstr(reading.err.text, "the file ends after line "));
		reading_done(&reading);
	}
	pd_buffer_done(&text);
}

/* Every bit. Of what the last line says of the state, another hash comes out, which that of what was made will not be. */
static void test_flipped(void **state)
{
	struct reading reading;
	struct pd_buffer text;

	(void)state;
	pd_buffer_init(&text, 1 << 20);
	finish(sample, SAMPLE_KEYS, &text);
	for (size_t bit = 0; bit < 8 * text.size; bit++) {
		text.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		reading_init(&reading);
		feed(&reading, pd_buffer_slice(&text), 1000);
		assert_true(reading.result != 0 || reading.reader.hash.high != 0x0001020304050607 ||
			    reading.reader.hash.low != 0x08090a0b0c0d0e0f);
		assert_true(reading.result == 0 || reading.err.text[0] != '\0');
		reading_done(&reading);
		text.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	pd_buffer_done(&text);
}

/* A line is missing, or there twice, or two have changed places. */
static void test_lines_moved(void **state)
{
	struct reading reading;
	struct pd_buffer text, other;
	const char *lines[32];
	size_t sizes[32], count = 0;

	(void)state;
	pd_buffer_init(&text, 1 << 20);
	pd_buffer_init(&other, 1 << 20);
	finish(sample, SAMPLE_KEYS, &text);
	for (size_t at = 0; at < text.size; at += sizes[count++]) {
		lines[count] = (const char *)text.data + at;
		sizes[count] = (size_t)((const char *)memchr(lines[count], '\n', text.size - at) -
					lines[count]) +
			       1;
	}
	for (size_t one = 0; one < count; one++)
		for (size_t way = 0; way < 3; way++) {
			pd_buffer_clear(&other);
			for (size_t i = 0; i < count; i++) {
				size_t which = way == 2 && i == one && one + 1 < count ? i + 1
					       : way == 2 && i == one + 1              ? one
										       : i;

				for (unsigned n = way == 0 && i == one   ? 0
						  : way == 1 && i == one ? 2
									 : 1;
				     n > 0; n--)
					assert_int_equal(pd_buffer_append(&other, lines[which], sizes[which]),
							 0);
			}
			if (other.size == text.size && memcmp(other.data, text.data, text.size) == 0)
				continue;
			reading_init(&reading);
			feed(&reading, pd_buffer_slice(&other), 300);
			assert_int_equal(reading.result, PD_CORRUPT);
			reading_done(&reading);
		}
	pd_buffer_done(&text);
	pd_buffer_done(&other);
}

/* ---- lines that no export has ---- */

#define TEXT_64       "0123456789012345678901234567890123456789012345678901234567890123"
#define KIND_TOO_LONG TEXT_64 "x"
#define NAME_TOO_LONG TEXT_64 TEXT_64 TEXT_64 TEXT_64 "x"

static const struct {
	const char *lines, *words;
	int result;
} wrong[] = {
	{ "", "the file ends after line 0", PD_CORRUPT },
	{ "\n", "line 1: an export of an actor begins otherwise", PD_CORRUPT },
	{ "hello\n", "line 1: an export of an actor begins otherwise", PD_CORRUPT },
	{ "{\"perdure_actor\":3,\"news\":1}\n", "is of version 3, and this server reads 2", PD_NEWER_FORMAT },
	{ HEADER RELATION("in", "k", "b", ""), "line 2: a file of version 1 has no relations", PD_CORRUPT },
	{ HEADER2 RELATION("to", "k", "b", ""), "line 2: byte 1: ", PD_CORRUPT },
	{ HEADER2 RELATION("in", "", "b", ""), "line 2: ", PD_CORRUPT },
	{ HEADER2 RELATION("in", "a b", "b", ""), "line 2: ", PD_CORRUPT },
	{ HEADER2 RELATION("in", KIND_TOO_LONG, "b", ""), "line 2: ", PD_CORRUPT },
	{ HEADER2 RELATION("in", "k", "", ""), "line 2: that is no actor's name", PD_CORRUPT },
	{ HEADER2 RELATION("in", "k", "a/b", ""), "line 2: that is no actor's name", PD_CORRUPT },
	{ HEADER2 RELATION("in", "k", NAME_TOO_LONG, ""), "line 2: that is no actor's name", PD_CORRUPT },
	{ HEADER2 RELATION("in", "k", "b", NAME_TOO_LONG), "line 2: a relation says 256 bytes at most",
	  PD_CORRUPT },
	{ HEADER2 "{\"relation\":\"in\",\"kind\":\"k\",\"actor\":\"b\"}\n", "line 2: ", PD_CORRUPT },
	{ HEADER2 RELATION("in", "k", "b", "") RELATION("in", "k", "b", "2"),
	  "line 3: relations come in the order", PD_CORRUPT },
	{ HEADER2 RELATION("out", "k", "b", "") RELATION("in", "k", "b", ""),
	  "line 3: relations come in the order", PD_CORRUPT },
	{ HEADER2 RELATION("out", "k", "b", "") "{\"key\":\"a\",\"value\":\"\"}\n",
	  "line 3: relations come behind all keys", PD_CORRUPT },
	{ HEADER2 "{\"key\":\"a\",\"fields\":2}\n" RELATION("out", "k", "b", ""),
	  "line 3: the hash before it lacks 2 fields", PD_CORRUPT },
	{ "{\"perdure_actor\":0}\n", "line 1: an export", PD_CORRUPT },
	{ "{\"perdure_actor\":1}\n", "line 1: byte 19: ", PD_CORRUPT },
	{ "{\"perdure_actor\":1,\"actor\":\"ann\",\"at\":\"\",\"at_time\":\"\",\"durability\":\"steel\",", "",
	  PD_CORRUPT },
	{ "{\"perdure_actor\":1,\"actor\":\"ann\",\"at\":\"\",\"at_time\":\"\",\"durability\":\"default\","
	  "\"quota_keys\":-1",
	  "", PD_CORRUPT },
	{ HEADER HEADER, "line 2: byte 1: no line of an export goes on like that", PD_CORRUPT },
	{ HEADER "\n", "line 2: byte 1: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\"}\n", "line 2: byte 11: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"value\":\"b\"} \n", "line 2: ", PD_CORRUPT },
	{ HEADER " {\"key\":\"a\",\"value\":\"b\"}\n", "line 2: byte 1: ", PD_CORRUPT },
	{ HEADER "{\"key\": \"a\",\"value\":\"b\"}\n", "line 2: ", PD_CORRUPT },
	{ HEADER "{\"value\":\"b\",\"key\":\"a\"}\n", "line 2: byte 1: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"value\":\"b}\n", "line 2: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"value\":\"b\\x\"}\n", "line 2: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"value\":\"b\\\n", "line 2: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"value\":\"\t\"}\n", "line 2: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"value\":{\"base64\":\"AP8\"}}\n", "line 2: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"value\":{\"base64\":\"AP8=\"}\n", "line 2: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"value\":{\"base64\":\"AP8=}}\n", "line 2: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"expires_us\":0,\"value\":\"\"}\n", "line 2: byte 25: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"expires_us\":9223372036854775808,\"value\":\"\"}\n",
	  "line 2: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"expires_us\":99999999999999999999999,\"value\":\"\"}\n",
	  "line 2: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"expires_us\":007,\"value\":\"\"}\n", "line 2: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"fields\":0}\n", "line 2: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"fields\":9223372036854775807}\n", "line 2: no key holds that",
	  PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"size\":0}\n", "line 2: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"size\":536870913}\n", "line 2: a value has 536870912 bytes at most",
	  PD_CORRUPT },
	{ HEADER "{\"key\":\"b\",\"value\":\"\"}\n{\"key\":\"a\",\"value\":\"\"}\n",
	  "line 3: keys come in the order of their bytes", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"value\":\"\"}\n{\"key\":\"a\",\"value\":\"\"}\n", "line 3: keys come",
	  PD_CORRUPT },
	{ HEADER "{\"field\":\"a\",\"value\":\"\"}\n", "line 2: the hash before it has all its fields",
	  PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"value\":\"\"}\n{\"field\":\"a\",\"value\":\"\"}\n", "line 3: the hash",
	  PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"fields\":2}\n{\"key\":\"b\",\"value\":\"\"}\n",
	  "line 3: the hash before it lacks 2 fields", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"fields\":2}\n{\"field\":\"b\",\"value\":\"\"}\n{\"field\":\"b\",\"value\":"
		 "\"\"}\n",
	  "line 4: fields come in the order", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"fields\":1}\n{\"field\":\"b\",\"fields\":1}\n", "line 3: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"fields\":1}\n{\"field\":\"b\",\"size\":1001}\n",
	  "line 3: a field of 1001 bytes is kept in memory while it comes", PD_TOO_LARGE },
	{ HEADER "{\"part\":\"a\"}\n", "line 2: there are 0 bytes to come, and this part has 1", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"size\":3}\n{\"part\":\"\"}\n", "line 3: there are 3 bytes to come",
	  PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"size\":3}\n{\"part\":\"1234\"}\n", "line 3: there are 3 bytes to come",
	  PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"size\":3}\n{\"part\":\"12\"}\n{\"key\":\"b\",\"value\":\"\"}\n",
	  "line 4: the value before it lacks 1 bytes", PD_CORRUPT },
	{ HEADER
	  "{\"key\":\"a\",\"fields\":2}\n{\"field\":\"a\",\"size\":3}\n{\"field\":\"b\",\"value\":\"\"}\n",
	  "line 4: the value before it lacks 3 bytes", PD_CORRUPT },
	{ HEADER "{\"end\":true}\n", "line 2: byte 12: ", PD_CORRUPT },
	{ HEADER "{\"key\":\"a\",\"size\":3}\n{\"end\":true,\"lines\":2,\"keys\":1,\"state_hash\":"
		 "\"000102030405060708090a0b0c0d0e0f\",\"sha256\":"
		 "\"000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\"}\n",
	  "line 3: the value before it lacks 3 bytes", PD_CORRUPT },
	{ HEADER "{\"end\":true,\"lines\":2,\"keys\":0,\"state_hash\":\"000102030405060708090a0b0c0d0e0f\","
		 "\"sha256\":"
		 "\"000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\"}\n",
	  "line 2: it has 1 lines and 0 keys, and should have 2 and 0", PD_CORRUPT },
	{ HEADER "{\"end\":true,\"lines\":1,\"keys\":0,\"state_hash\":\"000102030405060708090a0b0c0d0e0f\","
		 "\"sha256\":"
		 "\"000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\"}\n",
	  "line 2: the lines before it have another checksum", PD_CORRUPT },
	{ HEADER "{\"end\":true,\"lines\":1,\"keys\":0,\"state_hash\":\"000102030405060708090A0B0C0D0E0F\","
		 "\"sha256\":"
		 "\"000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\"}\n",
	  "line 2: byte ", PD_CORRUPT },
};

static void test_wrong(void **state)
{
	struct reading reading;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		for (size_t piece = 1; piece < 2000; piece *= 30) {
			reading_init(&reading);
			feed(&reading, pd_slice_string(wrong[i].lines), piece);
			if (reading.result != wrong[i].result ||
			    strstr(reading.err.text, wrong[i].words) == NULL)
				fail_msg("row %zu: %d, %s", i, reading.result, reading.err.text);
			reading_done(&reading);
		}
}

/* What is too long for a name, and a line without an end. */
static void test_too_long(void **state)
{
	struct reading reading;
	struct pd_buffer text;
	char *name = malloc(PD_EXPORT_LINE_MAX + 1);

	(void)state;
	pd_buffer_init(&text, 1 << 22);
	memset(name, 'n', PD_EXPORT_LINE_MAX);
	name[PD_EXPORT_LINE_MAX] = '\0';
	reading_init(&reading);
	assert_int_equal(pd_buffer_printf(&text, HEADER "{\"key\":\"%.*s\",\"value\":\"\"}\n",
					  PD_USER_KEY_SIZE_MAX + 1, name),
			 0);
	feed(&reading, pd_buffer_slice(&text), 5000);
	assert_non_null(strstr(reading.err.text, "line 2: a key has 65503 bytes at most"));
	reading_done(&reading);
	reading_init(&reading);
	pd_buffer_clear(&text);
	assert_int_equal(
		pd_buffer_printf(&text,
				 HEADER
				 "{\"key\":\"%.*s\",\"fields\":1}\n{\"field\":\"%.*s\",\"value\":\"\"}\n",
				 PD_USER_KEY_SIZE_MAX, name, 30, name),
		0);
	feed(&reading, pd_buffer_slice(&text), 5000);
	assert_non_null(strstr(reading.err.text, "line 3: key and field together are too long"));
	reading_done(&reading);
	reading_init(&reading);
	pd_buffer_clear(&text);
	assert_int_equal(pd_buffer_printf(&text, HEADER "{%s", name), 0);
	feed(&reading, pd_buffer_slice(&text), 5000);
	assert_non_null(strstr(reading.err.text, "line 2: it is longer than any line of an export"));
	reading_done(&reading);
	pd_buffer_done(&text);
	free(name);
}

static void test_behind_the_end(void **state)
{
	struct reading reading;
	struct pd_buffer text;

	(void)state;
	pd_buffer_init(&text, 1 << 20);
	finish(sample, SAMPLE_KEYS, &text);
	assert_int_equal(pd_buffer_append(&text, "\n", 1), 0);
	reading_init(&reading);
	feed(&reading, pd_buffer_slice(&text), 700);
	assert_int_equal(reading.result, PD_CORRUPT);
	assert_non_null(strstr(reading.err.text, "there is something behind the end"));
	reading_done(&reading);
	/* Also without an end of its own. */
	reading_init(&reading);
	text.data[text.size - 1] = 'x';
	feed(&reading, pd_buffer_slice(&text), 700);
	assert_int_equal(reading.result, PD_CORRUPT);
	reading_done(&reading);
	pd_buffer_done(&text);
}

static void test_out_of_memory(void **state)
{
	struct reading reading;
	struct pd_buffer text;
	unsigned long left = 0;

	(void)state;
	pd_buffer_init(&text, 1 << 20);
	finish(sample, SAMPLE_KEYS, &text);
	for (unsigned long n = 1; left == 0; n++) {
		reading_init(&reading);
		pd_memory_fail(n, 0);
		feed(&reading, pd_buffer_slice(&text), 10);
		left = pd_memory_fail_left();
		pd_memory_fail(0, 0);
		assert_int_equal(reading.result, left == 0 ? PD_NO_MEMORY : 0);
		reading_done(&reading);
	}
	pd_buffer_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),          cmocka_unit_test(test_cut),
		cmocka_unit_test(test_flipped),        cmocka_unit_test(test_lines_moved),
		cmocka_unit_test(test_wrong),          cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_behind_the_end), cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

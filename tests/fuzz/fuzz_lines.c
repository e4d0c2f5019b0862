/* A file that says it is an export of an actor. The first byte chooses how it is cut, and whether the first and the last line, whose checksum
 * nobody hits by chance, are put right. What it is made into has sense, however it was cut. */
#include <stdio.h>

#include "base/hash.h"
#include "input.h"
#include "engine/engine.h"
#include "model/kv/kv.h"
#include "model/relation/relation.h"
#include "restore/entry.h"
#include "restore/export.h"
#include "restore/import_read.h"
#include "store/memtable.h"

#define LARGE_MIN 40u
#define CHUNK     16u

struct reading {
	struct pd_import_reader reader;
	struct pd_buffer entries;
	struct pd_hasher *hasher; /* of all entries */
	uint64_t next_number;
	struct pd_error err;
	int result;
};

static void begin(struct reading *reading)
{
	*reading = (struct reading){ .hasher = pd_hasher_new() };
	PD_ASSERT(reading->hasher != NULL);
	pd_import_reader_init(&reading->reader, (struct pd_blob){ .size = LARGE_MIN, .chunk = CHUNK }, 1000);
	pd_buffer_init(&reading->entries, (size_t)16 * 1024 * 1024);
}

/* Each could stand in an actor, and they are in the order of their keys. */
static void check_relations(const struct pd_import_reader *reader)
{
	struct pd_slice last = { 0 };
	uint64_t count = 0;

	for (size_t at = 0; at < reader->relations.size; count++) {
		struct pd_relation relation;
		struct pd_entry entry;

		pd_entry_read(reader->relations.data + at, 0, &entry);
		at += pd_entry_size(entry.bytes);
		PD_ASSERT(at <= reader->relations.size && entry.type == PD_TYPE_RELATION);
		PD_ASSERT(pd_relation_read_key(entry.key, &relation) &&
			  pd_kv_makes_sense(entry.type, entry.value));
		PD_ASSERT(pd_actor_name_is_good(relation.other) && pd_slice_compare(last, entry.key) < 0);
		last = entry.key;
	}
	PD_ASSERT(count == reader->relation_count && count <= PD_RELATIONS_MAX);
}

static void end(struct reading *reading)
{
	check_relations(&reading->reader);
	pd_import_reader_done(&reading->reader);
	pd_buffer_done(&reading->entries);
	pd_hasher_free(reading->hasher);
}

/* Each has the form that its type asks for, and can be put into a draft. */
static void take_entries(struct reading *reading)
{
	struct pd_slice rest = pd_buffer_slice(&reading->entries);

	while (rest.size > 0) {
		size_t run = pd_entry_run(rest);

		PD_ASSERT(run > 0 && run <= rest.size);
		for (size_t at = 0; at < run;) {
			struct pd_entry entry;

			pd_entry_read(rest.data + at, 0, &entry);
			at += pd_entry_size(entry.bytes);
			PD_ASSERT(at <= run && pd_kv_makes_sense(entry.type, entry.value));
			PD_ASSERT(entry.type != PD_TYPE_CHUNK || entry.value.size <= CHUNK);
			PD_ASSERT(entry.type != PD_TYPE_STRING || entry.value.size < LARGE_MIN);
		}
		pd_hasher_add(reading->hasher, rest.data, run);
		rest = pd_slice(rest.data + run, rest.size - run);
	}
	pd_buffer_clear(&reading->entries);
}

static void feed(struct reading *reading, struct pd_slice text, size_t piece)
{
	for (size_t at = 0; reading->result == 0 && (at < text.size || reading->reader.whole);) {
		size_t left = text.size - at, taken;
		enum pd_import_stop stop;

		reading->result = pd_import_read(&reading->reader,
						 pd_slice(text.data + at, left < piece ? left : piece),
						 &taken, &reading->entries, &stop, &reading->err);
		PD_ASSERT(taken <= left && taken <= piece);
		PD_ASSERT(reading->result == 0 || reading->err.text[0] != '\0');
		at += taken;
		if (reading->result == 0)
			take_entries(reading);
		if (stop == PD_IMPORT_NUMBERS)
			pd_import_reader_give(&reading->reader, ++reading->next_number, 1);
	}
}

/* The first line of an export of nothing. */
static void write_header(struct pd_buffer *text)
{
	int result = pd_buffer_printf(
		text,
		"{\"perdure_actor\":%u,\"actor\":\"a\",\"at\":\"\",\"at_time\":\"\",\"durability\":"
		"\"default\","
		"\"quota_keys\":0,\"quota_bytes\":0,\"quota_ops\":0,\"expire_after_s\":0}\n",
		PD_EXPORT_VERSION);

	PD_ASSERT(result == 0);
}

/* The last line that belongs to what was read. */
static void write_end(struct pd_buffer *text, const struct pd_import_reader *reader)
{
	uint8_t digest[PD_SHA256_SIZE];
	int result = pd_crypto_sha256(pd_buffer_slice(text), digest);

	if (result == 0)
		result = pd_buffer_printf(
			text,
			"{\"end\":true,\"lines\":%llu,\"keys\":%llu,\"state_hash\":\"%032d\","
			"\"sha256\":\"",
			(unsigned long long)reader->lines, (unsigned long long)reader->keys, 0);
	for (size_t i = 0; result == 0 && i < sizeof digest; i++)
		result = pd_buffer_printf(text, "%02x", digest[i]);
	PD_ASSERT(result == 0 && pd_buffer_append(text, "\"}\n", 3) == 0);
}

static struct pd_hash128 read_all(struct pd_slice text, size_t piece, int *ret_result)
{
	struct reading reading;
	struct pd_hash128 hash;

	begin(&reading);
	feed(&reading, text, piece);
	if (reading.result == 0)
		reading.result = pd_import_read_end(&reading.reader, &reading.err);
	*ret_result = reading.result;
	hash = pd_hasher_sum(reading.hasher);
	end(&reading);
	return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	uint8_t choice = take_byte(&input);
	struct pd_hash128 one, other;
	int result, again;
	struct pd_buffer text;

	pd_buffer_init(&text, (size_t)16 * 1024 * 1024);
	if ((choice & 1) != 0)
		write_header(&text);
	if (pd_buffer_append(&text, input.data, input.size) != 0)
		return 0;
	if ((choice & 1) != 0) {
		struct reading reading;

		begin(&reading);
		feed(&reading, pd_buffer_slice(&text), text.size);
		if (reading.result == 0)
			write_end(&text, &reading.reader);
		end(&reading);
	}
	one = read_all(pd_buffer_slice(&text), text.size > 0 ? text.size : 1, &result);
	other = read_all(pd_buffer_slice(&text), 1 + (choice >> 1), &again);
	PD_ASSERT(result == again);
	PD_ASSERT(result != 0 || (one.high == other.high && one.low == other.low));
	pd_buffer_done(&text);
	return 0;
}

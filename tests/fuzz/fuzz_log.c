/* Decoders of the log: a record and its effects, and a whole segment (groups, frames, an index) through the reader. Nothing
 * crashes, nothing points outside, reading ends, and LSNs only grow. Since no fuzzer guesses checksums, the segment is sealed
 * here, as docs/format/log.md says: the input tells what stands in the headers and payloads, and which bytes are damaged
 * afterwards. The first byte chooses the decoder. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "log/log.h"
#include "log/verify.h"
#include "os/sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEGMENT_SECTORS 48u
#define SEGMENT_PATH    "/log/0000000001.seg"

static const uint8_t cluster[PD_CLUSTER_ID_SIZE];

static void walk_effects(const struct pd_record *record)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;

	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0) {
		PD_ASSERT(effect.key.data >= record->effects.data);
		PD_ASSERT(effect.value.data + effect.value.size <=
			  record->effects.data + record->effects.size);
	}
}

static void decode_record(struct pd_slice input)
{
	struct pd_record record;

	if (pd_record_decode(input, 1000, &record, NULL) != 0)
		return;
	PD_ASSERT(record.bytes.data == input.data && record.bytes.size <= input.size);
	walk_effects(&record);
}

/* ---- a segment ---- */

static bool take(struct pd_slice *input, void *to, size_t size)
{
	if (input->size < size)
		return false;
	memcpy(to, input->data, size);
	input->data += size;
	input->size -= size;
	return true;
}

/* What the input says of one group: its header's fields kept small, so that they often fit. */
struct plan {
	uint8_t kind, records, epoch, frame, chained, payload_size, first_lsn, durable_lsn;
};

/* A group's header on disk, from body_crc on in the order of the format page. */
struct header {
	uint32_t magic, header_crc, body_crc, payload_size, sectors, record_count;
	uint64_t first_lsn, base_time_us, durable_lsn;
	uint32_t epoch, previous_crc;
	uint16_t kind, flags;
	uint32_t frame;
};
_Static_assert(sizeof(struct header) == PD_GROUP_HEADER_SIZE, "as on disk");

/* Put the original of each stamp into its slot. Returns where the last slot ends. */
static size_t put_originals(uint8_t *data, size_t payload, uint32_t sectors, bool write)
{
	size_t slot = (PD_GROUP_HEADER_SIZE + payload + 7) & ~(size_t)7;

	for (uint32_t i = 0; i < sectors; i++) {
		if (slot % PD_SECTOR_SIZE == PD_SECTOR_SIZE - PD_STAMP_SIZE)
			slot += PD_STAMP_SIZE;
		if (write)
			memcpy(data + slot, data + (size_t)(i + 1) * PD_SECTOR_SIZE - PD_STAMP_SIZE,
			       PD_STAMP_SIZE);
		slot += PD_STAMP_SIZE;
	}
	return slot;
}

static uint32_t sectors_for(size_t payload)
{
	uint32_t sectors = 1;

	while (put_originals(NULL, payload, sectors, false) + PD_STAMP_SIZE > sectors * PD_SECTOR_SIZE)
		sectors++;
	return sectors;
}

static void seal(uint8_t *data, struct header *header, uint32_t location, uint64_t sector)
{
	(void)put_originals(data, header->payload_size, header->sectors, true);
	header->magic = 0x31474450u;
	header->body_crc = pd_crc32c(0, data + PD_GROUP_HEADER_SIZE,
				     header->sectors * PD_SECTOR_SIZE - PD_GROUP_HEADER_SIZE);
	memcpy(data, header, sizeof *header);
	header->header_crc = pd_crc32c(pd_crc32c(location, &sector, sizeof sector), data + 8,
				       PD_GROUP_HEADER_SIZE - 8);
	pd_store_u32(data + 4, header->header_crc);
	for (uint32_t i = 0; i < header->sectors; i++, sector++) {
		uint8_t *stamp = data + (size_t)(i + 1) * PD_SECTOR_SIZE - PD_STAMP_SIZE;

		pd_store_u32(stamp, 1);
		pd_store_u32(stamp + 4, pd_crc32c(location, &sector, sizeof sector));
	}
}

/* Seal one group at `sector`. Returns the sectors it takes, 0: no more. */
static uint32_t put_group(uint8_t *segment, uint32_t sector, struct pd_slice *input, uint32_t *chain)
{
	uint32_t location = pd_location_crc(cluster, 0, 1);
	struct header header = { 0 };
	struct plan plan;
	uint8_t *data = segment + (size_t)sector * PD_SECTOR_SIZE;
	size_t payload;

	if (!take(input, &plan, sizeof plan))
		return 0;
	payload = (size_t)plan.payload_size * 5;
	payload = payload < input->size ? payload : input->size;
	header.payload_size = (uint32_t)payload;
	header.sectors = sectors_for(payload);
	if (sector + header.sectors > SEGMENT_SECTORS)
		return 0;
	header.kind = plan.kind % 8;
	header.record_count = plan.records % 5;
	header.first_lsn = plan.first_lsn;
	header.durable_lsn = plan.durable_lsn;
	header.epoch = plan.epoch % 4;
	header.frame = plan.frame % 4;
	header.previous_crc = plan.chained % 4 != 0 ? *chain : 0;
	PD_ASSERT(take(input, data + PD_GROUP_HEADER_SIZE, payload));
	/* The first record's checksum is set right if it has a length that can be. */
	if (payload >= PD_RECORD_SIZE_MIN && plan.chained % 2 == 0) {
		uint8_t *record = data + PD_GROUP_HEADER_SIZE;
		uint32_t length = pd_load_u32(record + 4) % (uint32_t)(payload + 1);

		if (length >= PD_RECORD_SIZE_MIN) {
			pd_store_u32(record + 4, length);
			pd_store_u32(record,
				     pd_record_crc(location, header.first_lsn, pd_slice(record, length)));
		}
	}
	seal(data, &header, location, sector);
	*chain = header.header_crc;
	return header.sectors;
}

static void fill_segment(uint8_t *segment, struct pd_slice input)
{
	uint32_t sector = 0, chain = 0, took;
	uint16_t damages = 0, at;
	uint8_t damage;

	(void)take(&input, &damages, 1);
	damages = damages % 4;
	while (sector < SEGMENT_SECTORS && (took = put_group(segment, sector, &input, &chain)) > 0)
		sector += took;
	while (damages-- > 0 && take(&input, &at, sizeof at) && take(&input, &damage, 1))
		segment[at % (SEGMENT_SECTORS * PD_SECTOR_SIZE)] ^= damage;
}

static struct pd_log_options log_options(struct pd_os *os)
{
	return (struct pd_log_options){
		.os = os, .directory = "/log", .segment_bytes = PD_LOG_SEGMENT_BYTES_MIN, .queue_depth = 1
	};
}

/* The verifier looks at every byte, and says what it thinks of it. */
static void verify_log(struct pd_os *os)
{
	struct pd_log_options options = log_options(os);
	struct pd_log_verifier *verifier;
	struct pd_log_sight sight;
	struct pd_error err;
	uint8_t found[PD_CLUSTER_ID_SIZE];
	uint64_t steps = 0;
	uint32_t shard;
	int result;

	if (pd_log_verifier_new(&options, &verifier, NULL) != 0)
		return;
	while ((result = pd_log_verifier_next(verifier, &sight, &err)) == 0) {
		PD_ASSERT(++steps < 100000);
		if (sight.kind == PD_SIGHT_GROUP)
			PD_ASSERT(sight.offset + sight.size <= SEGMENT_SECTORS * PD_SECTOR_SIZE);
		if (sight.kind == PD_SIGHT_RECORD)
			walk_effects(&sight.record);
		if (sight.kind == PD_SIGHT_DAMAGE || sight.kind == PD_SIGHT_NOTE)
			PD_ASSERT(sight.damage.text[0] != '\0');
	}
	PD_ASSERT(result == PD_END || (result == PD_NEWER_FORMAT && err.text[0] != '\0'));
	PD_ASSERT(pd_log_verifier_totals(verifier)->seen_bytes <=
		  pd_log_verifier_totals(verifier)->total_bytes);
	pd_log_verifier_free(verifier);
	(void)!pd_log_file_identify(os, "/log", found, &shard, NULL);
}

/* Whatever was read to its end may be written on. */
static void read_log(struct pd_os *os)
{
	struct pd_log_options options = log_options(os);
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_log *log;
	uint64_t last = 0, steps = 0;
	struct pd_log_end end;
	struct pd_error err;
	int result;

	if (pd_log_file_open(&options, &log, NULL) != 0)
		return;
	PD_ASSERT(pd_log_reader_new(log, 1, &reader, NULL) == 0);
	while ((result = pd_log_reader_next(reader, &record, &damage, NULL)) == 0 || result == PD_CORRUPT) {
		PD_ASSERT(++steps < 100000);
		if (result != 0)
			continue;
		PD_ASSERT(record.lsn > last);
		last = record.lsn;
		walk_effects(&record);
	}
	if (result == PD_END)
		pd_log_reader_end(reader, &end);
	pd_log_reader_free(reader);
	if (result == PD_END)
		(void)!pd_log_begin(log, end.last_time_us + 1, &err);
	(void)pd_log_close(log, NULL);
}

static void decode_segment(struct pd_slice input)
{
	struct pd_sim_options sim = PD_SIM_OPTIONS_DEFAULT;
	uint8_t *segment = calloc(SEGMENT_SECTORS, PD_SECTOR_SIZE);
	struct pd_os_file *file;
	struct pd_os *os;

	PD_ASSERT(segment != NULL);
	fill_segment(segment, input);
	PD_ASSERT(pd_os_sim_new(&sim, &os, NULL) == 0);
	PD_ASSERT(pd_os_mkdir(os, "/log", NULL) == 0);
	PD_ASSERT(pd_os_open(os, SEGMENT_PATH, PD_OS_WRITE | PD_OS_CREATE, &file, NULL) == 0);
	PD_ASSERT(pd_os_write(file, segment, SEGMENT_SECTORS * PD_SECTOR_SIZE, 0, NULL) == 0);
	pd_os_close(file);
	verify_log(os);
	read_log(os);
	pd_os_free(os);
	free(segment);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;
	struct pd_slice input;

	if (size == 0)
		return 0;
	copy = malloc(size); /* of its exact size, for the sanitizer */
	PD_ASSERT(copy != NULL);
	memcpy(copy, data + 1, size - 1);
	input = pd_slice(copy, size - 1);
	if (data[0] % 4 == 0)
		decode_record(input);
	else
		decode_segment(input);
	free(copy);
	return 0;
}

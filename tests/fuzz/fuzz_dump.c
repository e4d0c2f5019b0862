/* Payloads of DUMP, as RESTORE reads them: what is taken apart is put together again and read as the same. The first byte says whether
 * the checksum is put right. */
#include "input.h"
#include "model/kv/kv_rdb.h"
#include "store/memtable.h"

#define STRINGS_MAX 10000u

/* Read it all; with `again`, write what was read. false: it makes no sense. */
static bool read_payload(struct pd_slice payload, struct pd_buffer *strings, bool *ret_is_hash,
			 uint64_t *ret_count)
{
	struct pd_kv_rdb rdb;
	struct pd_slice string;
	uint64_t count = 0;
	bool good;

	if (!pd_kv_rdb_begin(&rdb, payload, PD_VALUE_SIZE_MAX)) {
		PD_ASSERT(rdb.failed != 0);
		pd_kv_rdb_done(&rdb);
		return false;
	}
	while (pd_kv_rdb_next(&rdb, &string)) {
		PD_ASSERT(count < UINT64_MAX && rdb.failed == 0);
		if (count++ < STRINGS_MAX)
			PD_ASSERT(pd_kv_rdb_put_string(strings, string) == 0);
	}
	*ret_is_hash = rdb.is_hash;
	*ret_count = count;
	good = rdb.failed == 0 && count <= STRINGS_MAX;
	pd_kv_rdb_done(&rdb);
	return good;
}

static void write_again(const struct pd_buffer *strings, bool is_hash, uint64_t count)
{
	struct pd_buffer payload, same;
	uint8_t type = is_hash ? PD_KV_RDB_HASH : PD_KV_RDB_STRING;
	uint64_t count_again;
	bool is_hash_again;

	pd_buffer_init(&payload, 1 << 28);
	pd_buffer_init(&same, 1 << 28);
	PD_ASSERT(pd_buffer_append(&payload, &type, 1) == 0);
	if (is_hash)
		PD_ASSERT(pd_kv_rdb_put_length(&payload, count / 2) == 0);
	PD_ASSERT(pd_buffer_append_slice(&payload, pd_buffer_slice(strings)) == 0);
	PD_ASSERT(pd_kv_rdb_seal(&payload) == 0 && pd_kv_rdb_check(pd_buffer_slice(&payload)));
	PD_ASSERT(read_payload(pd_buffer_slice(&payload), &same, &is_hash_again, &count_again));
	PD_ASSERT(is_hash == is_hash_again && count == count_again);
	PD_ASSERT(pd_slice_equal(pd_buffer_slice(strings), pd_buffer_slice(&same)));
	pd_buffer_done(&payload);
	pd_buffer_done(&same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	bool sealed = take_byte(&input) % 4 != 0, is_hash;
	struct pd_buffer payload, strings;
	uint64_t count;
	uint8_t *copy;

	pd_buffer_init(&payload, 1 << 24);
	pd_buffer_init(&strings, 1 << 28);
	PD_ASSERT(pd_buffer_append(&payload, input.data, input.size) == 0);
	if (sealed)
		PD_ASSERT(pd_kv_rdb_seal(&payload) == 0);
	copy = copy_bytes(pd_buffer_slice(&payload));
	if (pd_kv_rdb_check(pd_slice(copy, payload.size)) &&
	    read_payload(pd_slice(copy, payload.size), &strings, &is_hash, &count) &&
	    (is_hash ? count > 0 && count % 2 == 0 : count == 1))
		write_again(&strings, is_hash, count);
	free(copy);
	pd_buffer_done(&payload);
	pd_buffer_done(&strings);
	return 0;
}

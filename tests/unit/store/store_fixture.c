#include "store_fixture.h"

void open_store(struct fixture *fixture)
{
	struct pd_store_options options = { .os = fixture->os, .count_prefix = 'k' };

	if (fixture->disk != NULL)
		options.levels = fake_levels_open(fixture->disk);
	assert_int_equal(pd_store_open(&options, &fixture->store, NULL), 0);
	fixture->actor = pd_store_actor_get(fixture->store, 7);
	if (fixture->actor == NULL)
		fixture->actor = pd_store_actor_add(fixture->store, 3, 7);
	assert_non_null(fixture->actor);
}

void open_fixture(struct fixture *fixture, bool levels)
{
	*fixture = (struct fixture){ 0 };
	assert_int_equal(pd_os_sim_new(&PD_SIM_OPTIONS_DEFAULT, &fixture->os, NULL), 0);
	if (levels)
		fixture->disk = fake_disk_new();
	open_store(fixture);
}

void close_fixture(struct fixture *fixture)
{
	pd_store_close(fixture->store);
	if (fixture->disk != NULL)
		fake_disk_free(fixture->disk);
	pd_os_free(fixture->os);
}

uint8_t *make_entry(uint8_t *to, unsigned number, size_t value_size, uint64_t expires_us)
{
	size_t header = PD_ENTRY_HEADER_SIZE + (expires_us != 0 ? 8 : 0);
	char key[16];
	size_t key_size = (size_t)snprintf(key, sizeof key, "k%06u", number);

	to[0] = PD_EFFECT_PUT;
	to[1] = expires_us != 0 ? PD_ENTRY_EXPIRES | 1 : 1;
	pd_store_u16(to + 2, (uint16_t)key_size);
	pd_store_u32(to + 4, (uint32_t)value_size);
	if (expires_us != 0)
		pd_store_u64(to + PD_ENTRY_HEADER_SIZE, expires_us);
	memcpy(to + header, key, key_size);
	memset(to + header + key_size, (int)(number & 0xff), value_size);
	return to;
}

struct pd_slice key_of(unsigned number, char text[16])
{
	return pd_slice(text, (size_t)snprintf(text, 16, "k%06u", number));
}

void put_in_transaction(struct fixture *fixture, unsigned number, size_t value_size, uint64_t expires_us)
{
	uint8_t *entry = malloc(value_size + 64);

	assert_non_null(entry);
	assert_int_equal(pd_store_put(fixture->store, fixture->actor,
				      make_entry(entry, number, value_size, expires_us), fixture->lsn, NULL,
				      NULL),
			 0);
	free(entry);
}

void put(struct fixture *fixture, unsigned number, size_t value_size, uint64_t expires_us)
{
	fixture->lsn++;
	pd_store_begin(fixture->store);
	put_in_transaction(fixture, number, value_size, expires_us);
	pd_store_commit(fixture->store);
}

int delete_key(struct fixture *fixture, unsigned number)
{
	char text[16];
	int result;

	fixture->lsn++;
	pd_store_begin(fixture->store);
	result = pd_store_delete(fixture->store, fixture->actor, key_of(number, text), fixture->lsn, NULL);
	pd_store_commit(fixture->store);
	return result;
}

int delete_range(struct fixture *fixture, const char *from, const char *to)
{
	int result;

	fixture->lsn++;
	pd_store_begin(fixture->store);
	result = pd_store_delete_range(fixture->store, fixture->actor, pd_slice_string(from),
				       pd_slice_string(to), fixture->lsn, NULL);
	pd_store_commit(fixture->store);
	return result;
}

bool holds(struct fixture *fixture, unsigned number, size_t value_size)
{
	struct pd_entry entry;
	char text[16];
	int result = pd_store_get(fixture->store, fixture->actor, key_of(number, text), &entry, NULL);

	assert_true(result == 0 || result == 1);
	return result == 1 && entry.value.size == value_size &&
	       (value_size == 0 || entry.value.data[value_size - 1] == (uint8_t)number);
}

void flush(struct fixture *fixture)
{
	struct pd_log_position position = { 1, fixture->lsn };

	assert_int_equal(pd_store_freeze(fixture->store, position, NULL), 0);
	while (pd_store_flush_wants_lsn(fixture->store) > 0)
		assert_int_equal(pd_store_flush_wait(fixture->store, fixture->lsn, NULL), 0);
}

size_t active_bytes(struct fixture *fixture)
{
	struct pd_store_stats stats;

	pd_store_stats(fixture->store, false, &stats);
	return stats.active_bytes;
}

#include "lib/fake_txn.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "store/arena.h"

#define CURSORS    1024
#define KIND_PUT   1
#define ACTOR_MAIN "main"

struct pd_actor {
	uint64_t id;
	uint64_t keys;
	struct pd_slice name; /* owned */
	struct pd_memtable *table;
	struct pd_actor *next; /* by id */
};

struct cursor {
	uint64_t number;
	uint64_t actor;
	struct pd_slice name; /* owned */
};

/* An entry that was replaced: freed when the transaction ends. */
struct corpse {
	uint8_t *entry;
	struct corpse *next;
};

struct pd_txn {
	struct pd_actor *actors;
	uint64_t last_actor;
	uint64_t now_us;
	uint64_t random;
	uint64_t lsn;
	struct pd_slice current; /* owned */
	bool sees_all;
	struct cursor cursors[CURSORS];
	uint64_t last_cursor;
	struct corpse *corpses;
	struct pd_fake_txn_calls calls;
	unsigned writes;
	struct pd_buffer events; /* "set a;del b;" */
	struct pd_blob large;    /* least, chunk */
	uint64_t last_blob, room_max;
	struct pd_arena arena; /* of the maps' nodes, and of what was kept */
};

/* ---- life ---- */

/* data is NULL without memory. */
static struct pd_slice copy(struct pd_slice bytes)
{
	uint8_t *memory = pd_malloc(bytes.size + 1);

	if (memory != NULL && bytes.size > 0)
		memcpy(memory, bytes.data, bytes.size);
	return pd_slice(memory, bytes.size);
}

static void free_slice(struct pd_slice bytes)
{
	/* Only for what copy() made. */
	pd_free((void *)(uintptr_t)bytes.data);
}

struct pd_txn *pd_fake_txn_new(void)
{
	struct pd_txn *txn = pd_calloc(1, sizeof *txn);

	PD_ASSERT(txn != NULL);
	txn->now_us = UINT64_C(1700000000) * 1000 * 1000;
	txn->random = 88172645463325252u;
	txn->lsn = 1;
	pd_buffer_init(&txn->events, 64u << 20);
	txn->large = (struct pd_blob){ .size = PD_LARGE_MIN, .chunk = PD_CHUNK_SIZE };
	txn->room_max = UINT64_MAX;
	pd_arena_init(&txn->arena, NULL);
	pd_fake_txn_use(txn, "");
	return txn;
}

static void bury(struct pd_txn *txn)
{
	while (txn->corpses != NULL) {
		struct corpse *corpse = txn->corpses;

		txn->corpses = corpse->next;
		pd_free(corpse->entry);
		pd_free(corpse);
	}
}

static void free_entries(struct pd_memtable *table)
{
	struct pd_memtable_cursor cursor;
	struct pd_entry entry;

	pd_memtable_seek(table, pd_slice(NULL, 0), &cursor);
	while (pd_memtable_next(&cursor, &entry))
		pd_free((void *)(uintptr_t)entry.bytes);
	pd_memtable_free(table);
}

void pd_fake_txn_free(struct pd_txn *txn)
{
	if (txn == NULL)
		return;
	bury(txn);
	while (txn->actors != NULL) {
		struct pd_actor *actor = txn->actors;

		txn->actors = actor->next;
		free_entries(actor->table);
		free_slice(actor->name);
		pd_free(actor);
	}
	for (size_t i = 0; i < CURSORS; i++)
		free_slice(txn->cursors[i].name);
	free_slice(txn->current);
	pd_buffer_done(&txn->events);
	pd_arena_done(&txn->arena);
	pd_free(txn);
}

void pd_fake_txn_next(struct pd_txn *txn)
{
	bury(txn);
	txn->lsn++;
	txn->calls = (struct pd_fake_txn_calls){ .gets = 0 };
	pd_buffer_clear(&txn->events);
}

void pd_txn_tell(struct pd_txn *txn, enum pd_event_class class, const char *event, const struct pd_key *key)
{
	(void)class;
	PD_ASSERT(pd_buffer_printf(&txn->events, "%s %.*s;", event, (int)key->name.size,
				   (const char *)key->name.data) == 0);
}

const char *pd_fake_txn_events(struct pd_txn *txn)
{
	PD_ASSERT(pd_buffer_append(&txn->events, "", 1) == 0);
	pd_buffer_clear(&txn->events);
	return (const char *)txn->events.data;
}

void pd_fake_txn_set_time_us(struct pd_txn *txn, uint64_t now_us)
{
	txn->now_us = now_us;
}

void pd_fake_txn_seed(struct pd_txn *txn, uint64_t seed)
{
	txn->random = seed * 2654435761u + 1;
}

void pd_fake_txn_use(struct pd_txn *txn, const char *actor)
{
	txn->sees_all = *actor == '\0';
	free_slice(txn->current);
	txn->current = copy(pd_slice_string(txn->sees_all ? ACTOR_MAIN : actor));
	PD_ASSERT(txn->current.data != NULL);
}

struct pd_fake_txn_calls pd_fake_txn_calls(const struct pd_txn *txn)
{
	return txn->calls;
}

/* ---- keys ---- */

static struct pd_actor *find_actor(struct pd_txn *txn, struct pd_slice name)
{
	struct pd_actor *actor = txn->actors;

	while (actor != NULL && !pd_slice_equal(actor->name, name))
		actor = actor->next;
	return actor;
}

static struct pd_actor *make_actor(struct pd_txn *txn, struct pd_slice name)
{
	struct pd_actor **at = &txn->actors;
	struct pd_actor *actor = find_actor(txn, name);

	if (actor != NULL)
		return actor;
	actor = pd_calloc(1, sizeof *actor);
	if (actor == NULL)
		return NULL;
	actor->table = pd_memtable_new(&txn->arena);
	actor->name = copy(name);
	if (actor->table == NULL || actor->name.data == NULL) {
		pd_memtable_free(actor->table);
		free_slice(actor->name);
		pd_free(actor);
		return NULL;
	}
	actor->id = ++txn->last_actor;
	while (*at != NULL)
		at = &(*at)->next;
	*at = actor;
	return actor;
}

int pd_txn_key(struct pd_txn *txn, struct pd_slice name, struct pd_key *ret_key, struct pd_error *err)
{
	struct pd_key key = { .actor_name = txn->current, .space = PD_SPACE_KEY, .name = name };
	const uint8_t *end = NULL;

	if (name.size > 1 && name.data[0] == '{')
		end = memchr(name.data, '}', name.size);
	if (end != NULL && end > name.data + 1) {
		size_t size = (size_t)(end - name.data - 1);

		key.actor_name = pd_slice(name.data + 1, size);
		key.name = pd_slice(end + 1, name.size - size - 2);
	}
	if (key.actor_name.size > 256 || key.name.size > PD_KEY_SIZE_MAX - 4)
		return pd_error_set(err, PD_TOO_LARGE, "the key is too long");
	key.actor = find_actor(txn, key.actor_name);
	*ret_key = key;
	return 0;
}

struct pd_key pd_key_field(const struct pd_key *key, struct pd_slice field)
{
	struct pd_key other = *key;

	other.space = PD_SPACE_FIELD;
	other.field = field;
	return other;
}

/* The key in the map: 'k' name, 'f' size of the name (big-endian) name field, or 'c' name field. Returns its size. */
static size_t map_key(const struct pd_key *key, uint8_t bytes[PD_KEY_SIZE_MAX + 8])
{
	size_t size = 0;

	bytes[size++] = (uint8_t)key->space;
	if (key->space == PD_SPACE_FIELD) {
		bytes[size++] = (uint8_t)(key->name.size >> 8);
		bytes[size++] = (uint8_t)key->name.size;
	}
	if (size + key->name.size + key->field.size > PD_KEY_SIZE_MAX)
		return 0;
	if (key->name.size > 0)
		memcpy(bytes + size, key->name.data, key->name.size);
	size += key->name.size;
	if (key->space == PD_SPACE_KEY)
		return size;
	if (key->field.size > 0)
		memcpy(bytes + size, key->field.data, key->field.size);
	return size + key->field.size;
}

static bool is_expired(const struct pd_txn *txn, const struct pd_entry *entry)
{
	return entry->expires_us != 0 && entry->expires_us <= txn->now_us;
}

/* ---- reading ---- */

bool pd_txn_get(struct pd_txn *txn, const struct pd_key *key, struct pd_entry *ret_entry)
{
	uint8_t bytes[PD_KEY_SIZE_MAX + 8];
	struct pd_entry entry;
	size_t size;

	txn->calls.gets++;
	if (key->actor == NULL)
		return false;
	size = map_key(key, bytes);
	if (size == 0 || !pd_memtable_get(key->actor->table, pd_slice(bytes, size), &entry) ||
	    is_expired(txn, &entry))
		return false;
	*ret_entry = entry;
	return true;
}

/* Everything is in memory. */
bool pd_txn_has_failed(const struct pd_txn *txn)
{
	(void)txn;
	return false;
}

struct pd_slice pd_txn_keep(struct pd_txn *txn, struct pd_slice bytes)
{
	uint8_t *kept = pd_arena_alloc(&txn->arena, bytes.size);

	PD_ASSERT(kept != NULL);
	if (bytes.size > 0)
		memcpy(kept, bytes.data, bytes.size);
	return pd_slice(kept, bytes.size);
}

uint64_t pd_txn_now_us(const struct pd_txn *txn)
{
	return txn->now_us;
}

/* Marsaglia's xorshift64. */
uint64_t pd_txn_random(struct pd_txn *txn)
{
	txn->random ^= txn->random << 13;
	txn->random ^= txn->random >> 7;
	txn->random ^= txn->random << 17;
	return txn->random;
}

/* ---- writing ---- */

/* Keep what the map let go of until the transaction ends. `corpse` was made before. */
static void keep(struct pd_txn *txn, struct corpse *corpse, const uint8_t *entry)
{
	corpse->entry = (uint8_t *)(uintptr_t)entry;
	corpse->next = txn->corpses;
	txn->corpses = corpse;
}

static uint8_t *make_entry(enum pd_type type, uint64_t expires_us, struct pd_slice key, struct pd_slice value)
{
	size_t header = PD_ENTRY_HEADER_SIZE + (expires_us != 0 ? 8 : 0);
	uint8_t *entry = pd_malloc(header + key.size + value.size);

	if (entry == NULL)
		return NULL;
	entry[0] = KIND_PUT;
	entry[1] = (uint8_t)(type | (expires_us != 0 ? PD_ENTRY_EXPIRES : 0));
	pd_store_u16(entry + 2, (uint16_t)key.size);
	pd_store_u32(entry + 4, (uint32_t)value.size);
	if (expires_us != 0)
		pd_store_u64(entry + PD_ENTRY_HEADER_SIZE, expires_us);
	memcpy(entry + header, key.data, key.size);
	if (value.size > 0)
		memcpy(entry + header + key.size, value.data, value.size);
	return entry;
}

int pd_txn_put(struct pd_txn *txn, struct pd_key *key, enum pd_type type, uint64_t expires_us,
	       struct pd_slice value, struct pd_entry *ret_old)
{
	uint8_t bytes[PD_KEY_SIZE_MAX + 8];
	struct corpse *corpse = NULL;
	const uint8_t *old;
	uint8_t *entry = NULL;
	uint64_t old_lsn;
	size_t size = map_key(key, bytes);

	txn->calls.puts++;
	txn->writes++;
	if (size == 0 || value.size > PD_VALUE_SIZE_MAX)
		return PD_TOO_LARGE;
	key->actor = make_actor(txn, key->actor_name);
	if (key->actor == NULL)
		return PD_NO_MEMORY;
	corpse = pd_malloc(sizeof *corpse);
	entry = make_entry(type, expires_us, pd_slice(bytes, size), value);
	if (corpse == NULL || entry == NULL ||
	    pd_memtable_put(key->actor->table, entry, txn->lsn, &old, &old_lsn) < 0) {
		pd_free(corpse);
		pd_free(entry);
		return PD_NO_MEMORY;
	}
	if (old == NULL) {
		pd_free(corpse);
		key->actor->keys += key->space == PD_SPACE_KEY;
	} else {
		keep(txn, corpse, old);
	}
	if (ret_old != NULL) {
		ret_old->bytes = NULL;
		if (old != NULL)
			pd_entry_read(old, old_lsn, ret_old);
	}
	return 0;
}

static int delete_from_map(struct pd_txn *txn, struct pd_actor *actor, struct pd_slice map_key_bytes)
{
	struct corpse *corpse = pd_malloc(sizeof *corpse);
	enum pd_space space = (enum pd_space)map_key_bytes.data[0];
	const uint8_t *old;
	uint64_t old_lsn;

	if (corpse == NULL)
		return PD_NO_MEMORY;
	old = pd_memtable_delete(actor->table, map_key_bytes, &old_lsn);
	if (old == NULL) {
		pd_free(corpse);
		return 0;
	}
	keep(txn, corpse, old);
	actor->keys -= space == PD_SPACE_KEY;
	return 0;
}

int pd_txn_delete(struct pd_txn *txn, struct pd_key *key)
{
	uint8_t bytes[PD_KEY_SIZE_MAX + 8];
	size_t size = map_key(key, bytes);

	txn->calls.deletes++;
	txn->writes++;
	if (key->actor == NULL || size == 0)
		return 0;
	return delete_from_map(txn, key->actor, pd_slice(bytes, size));
}

/* Delete everything that begins with the prefix. */
static int delete_prefix(struct pd_txn *txn, struct pd_actor *actor, struct pd_slice prefix)
{
	for (;;) {
		struct pd_memtable_cursor cursor;
		struct pd_entry entry;
		int r;

		pd_memtable_seek(actor->table, prefix, &cursor);
		if (!pd_memtable_next(&cursor, &entry) || !pd_slice_starts_with(entry.key, prefix))
			return 0;
		r = delete_from_map(txn, actor, entry.key);
		if (r < 0)
			return r;
	}
}

int pd_txn_delete_fields(struct pd_txn *txn, struct pd_key *key)
{
	struct pd_key first = pd_key_field(key, pd_slice(NULL, 0));
	uint8_t bytes[PD_KEY_SIZE_MAX + 8];
	size_t size = map_key(&first, bytes);

	txn->calls.deletes++;
	txn->writes++;
	if (size == 0)
		return 0;
	if (key->actor == NULL)
		return 0;
	return delete_prefix(txn, key->actor, pd_slice(bytes, size));
}

int pd_txn_clear_actor(struct pd_txn *txn, struct pd_actor *actor)
{
	txn->calls.deletes++;
	txn->writes++;
	return delete_prefix(txn, actor, pd_slice(NULL, 0));
}

/* ---- large strings ---- */

void pd_fake_txn_set_large(struct pd_txn *txn, uint64_t least, uint64_t chunk)
{
	txn->large = (struct pd_blob){ .size = least, .chunk = chunk };
}

void pd_fake_txn_set_room(struct pd_txn *txn, uint64_t most)
{
	txn->room_max = most;
}

struct pd_blob pd_txn_large_sizes(const struct pd_txn *txn)
{
	return txn->large;
}

int pd_txn_new_blob(struct pd_txn *txn, uint64_t *ret_number)
{
	*ret_number = ++txn->last_blob;
	return 0;
}

int pd_txn_remove_blob(struct pd_txn *txn, struct pd_key *key, uint64_t number)
{
	uint8_t prefix[9] = { PD_SPACE_CHUNK };

	txn->calls.deletes++;
	txn->writes++;
	pd_store_be64(prefix + 1, number);
	return delete_prefix(txn, key->actor, pd_slice(prefix, sizeof prefix));
}

int pd_txn_reply_later(struct pd_txn *txn, const struct pd_key *key, const struct pd_blob *blob,
		       uint64_t first, uint64_t size, struct pd_resp_writer *reply)
{
	(void)txn;
	(void)key;
	(void)blob;
	(void)first;
	(void)size;
	PD_ASSERT(reply->holes == NULL);
	return 0;
}

uint64_t pd_txn_room_max(const struct pd_txn *txn)
{
	return txn->room_max;
}

int pd_txn_room(struct pd_txn *txn, uint64_t size, uint8_t **ret_room, struct pd_error *err)
{
	if (size > txn->room_max)
		return pd_error_set(err, PD_NO_MEMORY, "too large");
	*ret_room = pd_arena_alloc(&txn->arena, (size_t)size);
	PD_ASSERT(*ret_room != NULL);
	return 0;
}

struct pd_staged pd_fake_txn_stage(struct pd_txn *txn, const char *actor, struct pd_slice bytes)
{
	struct pd_key key = { .actor_name = pd_slice_string(actor), .space = PD_SPACE_CHUNK };
	struct pd_staged staged = { .blob = { .number = ++txn->last_blob, .chunk = txn->large.chunk } };
	uint8_t name[8], field[4];

	PD_ASSERT(bytes.size % txn->large.chunk == 0);
	pd_store_be64(name, staged.blob.number);
	key.name = pd_slice(name, sizeof name);
	key.field = pd_slice(field, sizeof field);
	for (uint32_t i = 0; staged.blob.size < bytes.size; i++, staged.blob.size += txn->large.chunk) {
		pd_store_be32(field, i);
		PD_ASSERT(pd_txn_put(txn, &key, PD_TYPE_CHUNK, 0,
				     pd_slice(bytes.data + staged.blob.size, (size_t)txn->large.chunk),
				     NULL) == 0);
	}
	staged.actor = key.actor->id;
	return staged;
}

int pd_txn_take_staged(struct pd_txn *txn, const struct pd_key *key, const struct pd_staged *staged,
		       struct pd_error *err)
{
	(void)txn;
	if (key->actor == NULL || key->actor->id != staged->actor)
		return pd_error_set(err, PD_LOST, "another actor");
	return 0;
}

/* ---- walking ---- */

/* Of the store's cursor only the first source's is used, `to` for what every key of the walk begins with, and source_count
 * for the writes so far: whoever goes on after one is caught. */
static void begin_walk(struct pd_txn *txn, const struct pd_key *from, struct pd_walk *ret_walk)
{
	uint8_t bytes[PD_KEY_SIZE_MAX + 8];
	size_t size = map_key(from, bytes);
	struct pd_walk walk = { .txn = txn, .done = from->actor == NULL };

	/* A name behind all that fit: nothing. */
	if (size == 0)
		walk.done = true;
	walk.skip = from->space == PD_SPACE_FIELD   ? 3 + from->name.size
		    : from->space == PD_SPACE_CHUNK ? 1 + from->name.size
						    : 1;
	walk.cursor.source_count = txn->writes;
	if (!walk.done) {
		walk.cursor.to = pd_txn_keep(txn, pd_slice(bytes, walk.skip));
		pd_memtable_seek(from->actor->table, pd_slice(bytes, size), &walk.cursor.sources[0].cursor);
	}
	*ret_walk = walk;
}

void pd_txn_walk_keys(struct pd_txn *txn, struct pd_actor *actor, struct pd_slice from,
		      struct pd_walk *ret_walk)
{
	struct pd_key key = { .actor = actor, .space = PD_SPACE_KEY, .name = from };

	begin_walk(txn, &key, ret_walk);
}

void pd_txn_walk_fields(struct pd_txn *txn, const struct pd_key *key, struct pd_slice from,
			struct pd_walk *ret_walk)
{
	struct pd_key first = pd_key_field(key, from);

	begin_walk(txn, &first, ret_walk);
}

void pd_txn_walk_chunks(struct pd_txn *txn, const struct pd_key *key, uint64_t blob, uint64_t from,
			struct pd_walk *ret_walk)
{
	uint8_t name[8], field[4];
	struct pd_key first = { .actor = key->actor, .space = PD_SPACE_CHUNK };

	pd_store_be64(name, blob);
	pd_store_be32(field, (uint32_t)from);
	first.name = pd_slice(name, sizeof name);
	first.field = pd_slice(field, sizeof field);
	begin_walk(txn, &first, ret_walk);
}

bool pd_walk_next(struct pd_walk *walk, struct pd_slice *ret_name, struct pd_entry *ret_entry)
{
	struct pd_store_cursor *cursor = &walk->cursor;
	struct pd_entry entry;

	PD_ASSERT(cursor->source_count == walk->txn->writes);
	while (!walk->done && pd_memtable_next(&cursor->sources[0].cursor, &entry)) {
		if (!pd_slice_starts_with(entry.key, cursor->to))
			break;
		if (is_expired(walk->txn, &entry))
			continue;
		*ret_name = pd_slice(entry.key.data + walk->skip, entry.key.size - walk->skip);
		*ret_entry = entry;
		return true;
	}
	walk->done = true;
	return false;
}

uint64_t pd_fake_txn_count(struct pd_txn *txn, enum pd_space space)
{
	uint64_t count = 0;

	for (struct pd_actor *actor = txn->actors; actor != NULL; actor = actor->next) {
		struct pd_memtable_cursor cursor;
		struct pd_entry entry;

		pd_memtable_seek(actor->table, pd_slice(NULL, 0), &cursor);
		while (pd_memtable_next(&cursor, &entry))
			count += entry.key.data[0] == (uint8_t)space;
	}
	return count;
}

uint64_t pd_fake_txn_lsn(struct pd_txn *txn, const char *name)
{
	struct pd_entry entry;
	struct pd_key key;
	int r = pd_txn_key(txn, pd_slice_string(name), &key, NULL);

	PD_ASSERT(r == 0);
	return pd_txn_get(txn, &key, &entry) ? entry.lsn : 0;
}

/* ---- what the session can see ---- */

struct pd_actor *pd_txn_next_actor(struct pd_txn *txn, uint64_t after)
{
	struct pd_actor *actor = txn->actors;

	while (actor != NULL &&
	       (actor->id <= after || (!txn->sees_all && !pd_slice_equal(actor->name, txn->current))))
		actor = actor->next;
	return actor;
}

int pd_txn_check_sight(struct pd_txn *txn, bool whole, struct pd_error *err)
{
	(void)txn;
	(void)whole;
	(void)err;
	return 0;
}

uint64_t pd_actor_id(const struct pd_actor *actor)
{
	return actor->id;
}

struct pd_slice pd_actor_name(const struct pd_actor *actor)
{
	return actor->name;
}

uint64_t pd_actor_key_count(const struct pd_actor *actor)
{
	return actor->keys;
}

int pd_txn_append_name(struct pd_txn *txn, struct pd_actor *actor, struct pd_slice name,
		       struct pd_buffer *buffer)
{
	if (!pd_slice_equal(actor->name, txn->current)) {
		int r = pd_buffer_append(buffer, "{", 1);

		if (r == 0)
			r = pd_buffer_append_slice(buffer, actor->name);
		if (r == 0)
			r = pd_buffer_append(buffer, "}", 1);
		if (r < 0)
			return r;
	}
	return pd_buffer_append_slice(buffer, name);
}

uint64_t pd_txn_cursor_save(struct pd_txn *txn, uint64_t actor, struct pd_slice name)
{
	struct cursor *cursor = &txn->cursors[(txn->last_cursor + 1) % CURSORS];
	struct pd_slice copied = copy(name);

	if (copied.data == NULL)
		return 0;
	/* All names move, so that whoever still uses one that was loaded before is caught. */
	for (size_t i = 0; i < CURSORS; i++) {
		struct pd_slice old = txn->cursors[i].name;
		struct pd_slice moved;

		if (txn->cursors[i].number == 0)
			continue;
		moved = copy(old);
		if (moved.data == NULL)
			continue;
		txn->cursors[i].name = moved;
		free_slice(old);
	}
	free_slice(cursor->name);
	*cursor = (struct cursor){ ++txn->last_cursor, actor, copied };
	return cursor->number;
}

bool pd_txn_cursor_load(struct pd_txn *txn, uint64_t cursor, uint64_t *ret_actor, struct pd_slice *ret_name)
{
	const struct cursor *found = &txn->cursors[cursor % CURSORS];

	if (cursor == 0 || found->number != cursor)
		return false;
	*ret_actor = found->actor;
	*ret_name = found->name;
	return true;
}

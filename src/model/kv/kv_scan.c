/* Walking over keys and over the fields of a hash: KEYS, SCAN, HSCAN.
 *
 * Both are in the order of their bytes, so a cursor is simply the next name: whatever is added or deleted meanwhile,
 * an element that is there all the time is met exactly once, as Redis promises (and more: nothing comes twice).
 *
 * A reply begins with the number of its elements. Instead of collecting them, the same stretch is walked twice: once to
 * count, once to write. Nothing changes in between. */
#include "model/kv/glob.h"
#include "model/kv/kv_private.h"

#define COUNT_DEFAULT  10
#define SMALL_HASH_MAX 128 /* Redis gives a hash up to this size (a listpack) at once, whatever COUNT says */
#define NAME_SIZE_MAX  (PD_KEY_SIZE_MAX + 1024) /* a key with its actor's name */

struct filter {
	bool has_pattern; /* else everything matches */
	struct pd_slice pattern;
	struct pd_slice prefix; /* that every match begins with */
	bool has_type;
	struct pd_slice type;
};

static void set_pattern(struct filter *filter, struct pd_slice pattern)
{
	filter->has_pattern = !(pattern.size == 1 && pattern.data[0] == '*');
	filter->pattern = pattern;
	filter->prefix = pd_glob_prefix(pattern);
}

/* ---- keys ---- */

/* Where a stretch begins and ends. */
struct place {
	uint64_t actor; /* 0: the beginning, or the end */
	struct pd_slice name;
};

struct stretch {
	struct filter filter;
	struct place from;
	uint64_t work_max; /* keys, and actors without any, to look at */

	/* What walk_keys() finds out. */
	uint64_t matches;
	struct place next;

	struct pd_buffer name;       /* of a key, as the client would write it */
	struct pd_buffer from_bytes; /* what from.name points to */
};

/* Names are matched as the client would write them: "{actor}name" for those of other actors. A prefix that does not
 * begin with "{" can so only match in the session's current actor, where names are bare. false: nothing in this actor
 * can match; *ret_prefix is what the names in it must begin with. */
static int actor_prefix(struct pd_call *call, struct stretch *stretch, struct pd_actor *actor,
			struct pd_slice *ret_prefix, bool *ret_possible)
{
	struct pd_slice prefix = stretch->filter.prefix;
	int r;

	*ret_prefix = pd_slice(NULL, 0);
	*ret_possible = true;
	if (!stretch->filter.has_pattern || prefix.size == 0 || prefix.data[0] == '{')
		return 0;
	pd_buffer_clear(&stretch->name);
	r = pd_txn_append_name(call->txn, actor, pd_slice(NULL, 0), &stretch->name);
	*ret_possible = stretch->name.size == 0;
	*ret_prefix = prefix;
	return r;
}

/* Count the key if it matches, and write its name if `write`. */
static int visit_key(struct pd_call *call, struct stretch *stretch, struct pd_actor *actor,
		     struct pd_slice name, const struct pd_entry *entry, bool write)
{
	const struct filter *filter = &stretch->filter;
	int r;

	if (filter->has_type && !pd_slice_equal_nocase(filter->type, pd_kv_type_name(entry->type)))
		return 0;
	if (filter->has_pattern || write) {
		pd_buffer_clear(&stretch->name);
		r = pd_txn_append_name(call->txn, actor, name, &stretch->name);
		if (r < 0)
			return r;
	}
	if (filter->has_pattern && !pd_glob_match(filter->pattern, pd_buffer_slice(&stretch->name)))
		return 0;
	stretch->matches++;
	if (write)
		pd_resp_write_bulk(call->reply, pd_buffer_slice(&stretch->name));
	return 0;
}

/* Walk over one actor's keys from `from` on, until the work is used up: then `next` is where to go on. */
static int walk_actor(struct pd_call *call, struct stretch *stretch, struct pd_actor *actor,
		      struct pd_slice from, uint64_t *work, bool write)
{
	uint64_t work_before = *work;
	struct pd_slice name, prefix;
	struct pd_entry entry;
	struct pd_walk walk;
	bool possible;
	int r = actor_prefix(call, stretch, actor, &prefix, &possible);

	if (r < 0)
		return r;
	if (possible) {
		if (pd_slice_compare(from, prefix) < 0)
			from = prefix;
		pd_txn_walk_keys(call->txn, actor, from, &walk);
		while (pd_walk_next(&walk, &name, &entry) && pd_slice_starts_with(name, prefix)) {
			if (*work == 0) {
				stretch->next = (struct place){ pd_actor_id(actor), name };
				return 0;
			}
			--*work;
			r = visit_key(call, stretch, actor, name, &entry, write);
			if (r < 0)
				return r;
		}
	}
	/* A tenant can have a million actors without a key. */
	if (*work == work_before)
		--*work;
	return 0;
}

static int walk_keys(struct pd_call *call, struct stretch *stretch, bool write)
{
	uint64_t before = stretch->from.actor > 0 ? stretch->from.actor - 1 : 0;
	struct pd_actor *actor = pd_txn_next_actor(call->txn, before);
	uint64_t work = stretch->work_max;

	stretch->matches = 0;
	stretch->next = (struct place){ .actor = 0 };
	for (; actor != NULL; actor = pd_txn_next_actor(call->txn, pd_actor_id(actor))) {
		struct pd_slice from = { NULL, 0 };
		int r;

		if (pd_actor_id(actor) == stretch->from.actor)
			from = stretch->from.name;
		if (work == 0) {
			stretch->next = (struct place){ pd_actor_id(actor), from };
			return 0;
		}
		r = walk_actor(call, stretch, actor, from, &work, write);
		if (r < 0 || stretch->next.actor != 0)
			return r;
	}
	return 0;
}

int pd_kv_keys(struct pd_call *call)
{
	struct stretch stretch = { .work_max = UINT64_MAX };
	int r;

	r = pd_txn_check_sight(call->txn, false, call->err);
	if (r < 0)
		return r;
	set_pattern(&stretch.filter, call->words[1]);
	pd_buffer_init(&stretch.name, NAME_SIZE_MAX);
	r = walk_keys(call, &stretch, false);
	if (r == 0) {
		pd_resp_write_array(call->reply, stretch.matches);
		r = walk_keys(call, &stretch, true);
	}
	pd_buffer_done(&stretch.name);
	return r;
}

/* ---- arguments of SCAN and HSCAN; false: the error reply is written ---- */

static void error_cursor(struct pd_call *call)
{
	pd_resp_write_error(call->reply, "ERR invalid cursor");
}

static bool cursor_argument(struct pd_call *call, struct pd_slice text, uint64_t *ret_cursor)
{
	uint64_t cursor = 0;

	for (size_t i = 0; i < text.size; i++) {
		unsigned digit = text.data[i] - (unsigned)'0';

		if (digit > 9 || __builtin_mul_overflow(cursor, (uint64_t)10, &cursor) ||
		    __builtin_add_overflow(cursor, (uint64_t)digit, &cursor)) {
			error_cursor(call);
			return false;
		}
	}
	*ret_cursor = cursor;
	return true;
}

/* The place that a cursor stands for, copied: saving the next one ends the life of what is loaded. 1: there is no such
 * cursor, the error reply is written. */
static int load_cursor(struct pd_call *call, uint64_t cursor, bool of_keys, uint64_t *ret_actor,
		       struct pd_buffer *buffer)
{
	struct pd_slice name;

	if (!pd_txn_cursor_load(call->txn, cursor, ret_actor, &name) || (*ret_actor != 0) != of_keys) {
		error_cursor(call);
		return 1;
	}
	return pd_buffer_append_slice(buffer, name);
}

static bool parse_options(struct pd_call *call, size_t first, bool allow_type, struct filter *ret_filter,
			  uint64_t *ret_work_max)
{
	struct filter filter = { .has_pattern = false };
	int64_t count = COUNT_DEFAULT;

	for (size_t i = first; i < call->count; i += 2) {
		struct pd_slice option = call->words[i];
		bool has_value = i + 1 < call->count;

		if (has_value && pd_slice_equal_nocase(option, "count")) {
			if (!pd_kv_integer_argument(call, call->words[i + 1], &count))
				return false;
			if (count < 1) {
				pd_kv_error_syntax(call);
				return false;
			}
		} else if (has_value && pd_slice_equal_nocase(option, "match")) {
			set_pattern(&filter, call->words[i + 1]);
		} else if (has_value && allow_type && pd_slice_equal_nocase(option, "type")) {
			filter.has_type = true;
			filter.type = call->words[i + 1];
		} else {
			pd_kv_error_syntax(call);
			return false;
		}
	}
	*ret_filter = filter;
	*ret_work_max = (uint64_t)count;
	return true;
}

static void write_cursor(struct pd_call *call, uint64_t cursor)
{
	char text[PD_KV_NUMBER_SIZE];

	/* Cursors are counted up from 1. */
	pd_resp_write_array(call->reply, 2);
	pd_resp_write_bulk(call->reply, pd_slice(text, pd_kv_format_integer((int64_t)cursor, text)));
}

/* ---- SCAN ---- */

static int write_stretch(struct pd_call *call, struct stretch *stretch)
{
	uint64_t cursor = 0;
	int r = walk_keys(call, stretch, false);

	if (r < 0)
		return r;
	if (stretch->next.actor != 0) {
		cursor = pd_txn_cursor_save(call->txn, stretch->next.actor, stretch->next.name);
		if (cursor == 0)
			return pd_error_set(call->err, PD_NO_MEMORY, "out of memory for a cursor");
	}
	write_cursor(call, cursor);
	pd_resp_write_array(call->reply, stretch->matches);
	return walk_keys(call, stretch, true);
}

int pd_kv_scan(struct pd_call *call)
{
	struct stretch stretch = { .work_max = 0 };
	uint64_t cursor;
	int r;

	if (!cursor_argument(call, call->words[1], &cursor) ||
	    !parse_options(call, 2, true, &stretch.filter, &stretch.work_max))
		return 0;
	r = pd_txn_check_sight(call->txn, false, call->err);
	if (r < 0)
		return r;
	pd_buffer_init(&stretch.name, NAME_SIZE_MAX);
	pd_buffer_init(&stretch.from_bytes, PD_KEY_SIZE_MAX);
	if (cursor != 0)
		r = load_cursor(call, cursor, true, &stretch.from.actor, &stretch.from_bytes);
	stretch.from.name = pd_buffer_slice(&stretch.from_bytes);
	if (r == 0)
		r = write_stretch(call, &stretch);
	pd_buffer_done(&stretch.from_bytes);
	pd_buffer_done(&stretch.name);
	return r < 0 ? r : 0;
}

/* ---- HSCAN ---- */

struct field_stretch {
	struct filter filter;
	struct pd_slice from;
	uint64_t work_max;

	/* What walk_fields() finds out. */
	uint64_t matches;
	bool has_next;
	struct pd_slice next;
};

static void walk_fields(struct pd_call *call, const struct pd_key *key, struct field_stretch *stretch,
			bool write)
{
	const struct filter *filter = &stretch->filter;
	struct pd_slice from = stretch->from;
	uint64_t work = stretch->work_max;
	struct pd_entry entry;
	struct pd_slice name;
	struct pd_walk walk;

	stretch->matches = 0;
	stretch->has_next = false;
	if (filter->has_pattern && pd_slice_compare(from, filter->prefix) < 0)
		from = filter->prefix;
	pd_txn_walk_fields(call->txn, key, from, &walk);
	while (pd_walk_next(&walk, &name, &entry)) {
		if (filter->has_pattern && !pd_slice_starts_with(name, filter->prefix))
			return;
		if (work-- == 0) {
			stretch->has_next = true;
			stretch->next = name;
			return;
		}
		if (filter->has_pattern && !pd_glob_match(filter->pattern, name))
			continue;
		stretch->matches++;
		if (write) {
			pd_resp_write_bulk(call->reply, name);
			pd_resp_write_bulk(call->reply, entry.value);
		}
	}
}

static int write_field_stretch(struct pd_call *call, const struct pd_key *key, struct field_stretch *stretch)
{
	uint64_t cursor = 0;

	walk_fields(call, key, stretch, false);
	if (stretch->has_next) {
		cursor = pd_txn_cursor_save(call->txn, 0, stretch->next);
		if (cursor == 0)
			return pd_error_set(call->err, PD_NO_MEMORY, "out of memory for a cursor");
	}
	write_cursor(call, cursor);
	pd_resp_write_array(call->reply, 2 * stretch->matches);
	walk_fields(call, key, stretch, true);
	return 0;
}

int pd_kv_hscan(struct pd_call *call)
{
	struct field_stretch stretch = { .work_max = 0 };
	uint64_t cursor, actor;
	struct pd_entry entry;
	struct pd_buffer from;
	struct pd_key key;
	int found, r = 0;

	if (!cursor_argument(call, call->words[2], &cursor))
		return 0;
	found = pd_kv_find(call, call->words[1], PD_TYPE_HASH, &key, &entry);
	if (found <= 0)
		return found;
	if (found == PD_KV_MISSING) {
		write_cursor(call, 0);
		pd_resp_write_array(call->reply, 0);
		return 0;
	}
	if (!parse_options(call, 3, false, &stretch.filter, &stretch.work_max))
		return 0;
	if (pd_kv_hash_count(&entry) <= SMALL_HASH_MAX)
		stretch.work_max = UINT64_MAX;
	pd_buffer_init(&from, PD_KEY_SIZE_MAX);
	if (cursor != 0)
		r = load_cursor(call, cursor, false, &actor, &from);
	stretch.from = pd_buffer_slice(&from);
	if (r == 0)
		r = write_field_stretch(call, &key, &stretch);
	pd_buffer_done(&from);
	return r < 0 ? r : 0;
}

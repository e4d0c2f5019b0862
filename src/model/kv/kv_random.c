/* Something by chance: RANDOMKEY, HRANDFIELD.
 *
 * The map cannot tell what is at a rank, so an even choice means a walk over all. That is done where there are few, and
 * for HRANDFIELD with a count, which gives many. One out of many is found by going down the names byte by byte: at each
 * byte one of the values between the least and the greatest that occur, until few names are left. Everything can come
 * out, though not all with the same chance: names in sparse places are a little more likely. (Redis's choice is not
 * even, either.) */
#include "model/kv/kv_private.h"

#define EVEN_MAX  256 /* up to so many, the choice is even */
#define FEW_MAX   128 /* names in sight at which going down ends */
#define DEPTH_MAX 512 /* bytes of a common beginning; names that differ only behind it: the first is taken */

/* The keys of an actor, or the fields of a hash. */
struct source {
	struct pd_txn *txn;
	struct pd_actor *actor;
	const struct pd_key *hash; /* NULL: the keys of the actor */
};

struct element {
	struct pd_slice name;
	struct pd_slice value; /* of a field */
};

static void walk_from(const struct source *source, struct pd_slice from, struct pd_walk *ret_walk)
{
	if (source->hash != NULL)
		pd_txn_walk_fields(source->txn, source->hash, from, ret_walk);
	else
		pd_txn_walk_keys(source->txn, source->actor, from, ret_walk);
}

static bool next_element(struct pd_walk *walk, struct pd_slice prefix, struct element *ret_element)
{
	struct pd_entry entry;
	struct pd_slice name;

	if (!pd_walk_next(walk, &name, &entry) || !pd_slice_starts_with(name, prefix))
		return false;
	*ret_element = (struct element){ name, entry.value };
	return true;
}

/* What a walk gives lasts until its next step: this lasts as long as the transaction. */
static struct element kept(const struct source *source, const struct element *element)
{
	return (struct element){ pd_txn_keep(source->txn, element->name),
				 pd_txn_keep(source->txn, element->value) };
}

/* Even choice among the first `max` elements that begin with the prefix. *ret_more: there are others. false: none. */
static bool pick_even(const struct source *source, struct pd_slice prefix, uint64_t max,
		      struct element *ret_element, bool *ret_more)
{
	struct element element;
	struct pd_walk walk;
	uint64_t seen = 0;

	*ret_more = false;
	walk_from(source, prefix, &walk);
	while (next_element(&walk, prefix, &element)) {
		if (seen == max) {
			*ret_more = true;
			return true;
		}
		/* The nth replaces the one chosen before with a chance of 1 in n. */
		if (pd_txn_random(source->txn) % ++seen == 0)
			*ret_element = kept(source, &element);
	}
	return seen > 0;
}

/* The byte behind the prefix in the first name not below prefix + `least`. false: none begins like that. */
static bool next_byte(const struct source *source, struct pd_buffer *prefix, unsigned least,
		      unsigned *ret_byte, struct element *ret_element)
{
	size_t size = prefix->size;
	struct pd_walk walk;

	/* pick_one() reserved the byte. */
	prefix->data[size] = (uint8_t)least;
	walk_from(source, pd_slice(prefix->data, size + 1), &walk);
	if (!next_element(&walk, pd_buffer_slice(prefix), ret_element))
		return false;
	*ret_byte = ret_element->name.data[size];
	return true;
}

/* Choose one of the bytes that follow the prefix, and append it; or the name that is the prefix itself: false.
 * *ret_element: the first that begins with the new prefix. */
static bool go_down(const struct source *source, struct pd_buffer *prefix, struct element *ret_element)
{
	struct element element;
	unsigned least, greatest, high = 255, byte;
	bool has_exact;
	struct pd_walk walk;

	walk_from(source, pd_buffer_slice(prefix), &walk);
	if (!next_element(&walk, pd_buffer_slice(prefix), ret_element))
		return false;
	has_exact = ret_element->name.size == prefix->size;
	/* More than one name has the prefix, so at least one is longer. */
	if (!next_byte(source, prefix, 0, &least, &element))
		return false;
	greatest = least;
	while (greatest < high) {
		unsigned middle = (greatest + high + 1) / 2;

		if (next_byte(source, prefix, middle, &byte, &element))
			greatest = byte;
		else
			high = middle - 1;
	}
	byte = least + (unsigned)(pd_txn_random(source->txn) % (greatest - least + 1 + has_exact));
	if (byte > greatest || !next_byte(source, prefix, byte, &byte, &element))
		return false;
	*ret_element = kept(source, &element);
	prefix->data[prefix->size++] = (uint8_t)byte;
	return true;
}

/* One element by chance out of about `count`. 1: there is none. */
static int pick_one(const struct source *source, uint64_t count, struct element *ret_element)
{
	struct pd_buffer prefix;
	bool found, more;
	int r = 0;

	if (count <= EVEN_MAX)
		return pick_even(source, pd_slice(NULL, 0), UINT64_MAX, ret_element, &more) ? 0 : 1;
	pd_buffer_init(&prefix, DEPTH_MAX + 1);
	for (;;) {
		found = pick_even(source, pd_buffer_slice(&prefix), FEW_MAX, ret_element, &more);
		if (!found || !more || prefix.size >= DEPTH_MAX)
			break;
		r = pd_buffer_reserve(&prefix, 1);
		if (r < 0 || !go_down(source, &prefix, ret_element))
			break;
	}
	pd_buffer_done(&prefix);
	return r < 0 ? r : !found;
}

/* ---- RANDOMKEY ---- */

static uint64_t count_keys(struct pd_call *call)
{
	struct pd_actor *actor = pd_txn_next_actor(call->txn, 0);
	uint64_t count = 0;

	for (; actor != NULL; actor = pd_txn_next_actor(call->txn, pd_actor_id(actor)))
		count += pd_actor_key_count(actor);
	return count;
}

static int write_name(struct pd_call *call, struct pd_actor *actor, struct pd_slice name)
{
	struct pd_buffer buffer;
	int r;

	pd_buffer_init(&buffer, PD_KEY_SIZE_MAX + 1024);
	r = pd_txn_append_name(call->txn, actor, name, &buffer);
	if (r == 0)
		pd_resp_write_bulk(call->reply, pd_buffer_slice(&buffer));
	pd_buffer_done(&buffer);
	return r;
}

/* Keys that have expired are counted but not found: when those were all an actor had, the next one has its turn, and
 * after the last the first again. */
static int pick_key(struct pd_call *call, uint64_t total, struct pd_actor **ret_actor,
		    struct element *ret_element)
{
	uint64_t rank = pd_txn_random(call->txn) % total;
	uint64_t before = 0;

	for (int round = 0; round < 2; round++) {
		struct pd_actor *actor = pd_txn_next_actor(call->txn, 0);

		before = 0;
		for (; actor != NULL; actor = pd_txn_next_actor(call->txn, pd_actor_id(actor))) {
			struct source source = { .txn = call->txn, .actor = actor };
			uint64_t count = pd_actor_key_count(actor);
			int r;

			before += count;
			if (count == 0 || (round == 0 && rank >= before))
				continue;
			*ret_actor = actor;
			r = pick_one(&source, count, ret_element);
			if (r <= 0)
				return r;
		}
	}
	return 1;
}

int pd_kv_randomkey(struct pd_call *call)
{
	uint64_t total = count_keys(call);
	struct element element;
	struct pd_actor *actor;
	int r = pd_txn_check_sight(call->txn, false, call->err);

	if (r < 0)
		return r;
	r = 1;
	if (total > 0)
		r = pick_key(call, total, &actor, &element);
	if (r == 0)
		r = write_name(call, actor, element.name);
	else if (r > 0)
		pd_resp_write_null(call->reply);
	return r < 0 ? r : 0;
}

/* ---- HRANDFIELD ---- */

static void write_element(struct pd_call *call, const struct element *element, bool with_values)
{
	/* RESP3 nests the pairs, RESP2 lays them flat. */
	if (with_values && call->reply->protocol != 2)
		pd_resp_write_array(call->reply, 2);
	pd_resp_write_bulk(call->reply, element->name);
	if (with_values)
		pd_resp_write_bulk(call->reply, element->value);
}

static void write_header(struct pd_call *call, uint64_t count, bool with_values)
{
	pd_resp_write_array(call->reply, with_values && call->reply->protocol == 2 ? 2 * count : count);
}

static void write_all(struct pd_call *call, const struct source *source, bool with_values)
{
	struct pd_slice everything = { NULL, 0 };
	struct element element;
	struct pd_walk walk;

	walk_from(source, everything, &walk);
	while (next_element(&walk, everything, &element))
		write_element(call, &element, with_values);
}

/* `count` out of all `size` elements, each at most once unless `repeat`. */
static int write_sample(struct pd_call *call, const struct source *source, uint64_t size, uint64_t count,
			bool repeat, bool with_values)
{
	struct pd_slice everything = { NULL, 0 };
	struct pd_kv_work work;
	struct element *elements;
	struct pd_walk walk;
	uint64_t seen = 0;
	int r;

	if (size > SIZE_MAX / sizeof *elements)
		return PD_NO_MEMORY;
	r = pd_kv_work_begin(call, size * sizeof *elements, &work);
	if (r == PD_NO_MEMORY)
		return pd_error_set(call->err, r,
				    "choosing among all of %llu fields takes more memory than a request may "
				    "have now: ask "
				    "for fewer, or raise --memory-budget",
				    (unsigned long long)size);
	if (r < 0)
		return r;
	elements = (void *)work.bytes;
	walk_from(source, everything, &walk);
	for (; seen < size && next_element(&walk, everything, &elements[seen]); seen++)
		elements[seen] = kept(source, &elements[seen]);
	/* A count of 2^62 is welcome: the reply ends where its buffer does. Not all may have been seen: what cannot be read is missed. */
	for (uint64_t i = 0; i < count && call->reply->failed == 0; i++) {
		uint64_t first = repeat ? 0 : i;
		struct element element;
		uint64_t chosen;

		if (first >= seen)
			break;
		chosen = first + pd_txn_random(call->txn) % (seen - first);
		element = elements[chosen];
		if (!repeat) {
			elements[chosen] = elements[i];
			elements[i] = element;
		}
		write_element(call, &element, with_values);
	}
	pd_kv_work_end(&work);
	return 0;
}

/* false: the error reply is written. */
static bool parse_count(struct pd_call *call, int64_t *ret_count, bool *ret_with_values)
{
	if (!pd_kv_integer_argument(call, call->words[2], ret_count))
		return false;
	if (*ret_count == INT64_MIN) {
		pd_resp_write_errorf(call->reply,
				     "ERR value is out of range, value must between %lld and %lld",
				     -(long long)INT64_MAX, (long long)INT64_MAX);
		return false;
	}
	*ret_with_values = call->count == 4 && pd_slice_equal_nocase(call->words[3], "withvalues");
	if (call->count > 4 || (call->count == 4 && !*ret_with_values)) {
		pd_kv_error_syntax(call);
		return false;
	}
	if (*ret_with_values && (*ret_count < -INT64_MAX / 2 || *ret_count > INT64_MAX / 2)) {
		pd_resp_write_error(call->reply, "ERR value is out of range");
		return false;
	}
	return true;
}

static int random_field(struct pd_call *call)
{
	struct source source = { .txn = call->txn };
	struct element element;
	struct pd_entry entry;
	struct pd_key key;
	int r = pd_kv_find(call, call->words[1], PD_TYPE_HASH, &key, &entry);

	if (r <= 0)
		return r;
	source.hash = &key;
	if (r == PD_KV_FOUND)
		r = pick_one(&source, pd_kv_hash_count(&entry), &element);
	if (r == 0)
		pd_resp_write_bulk(call->reply, element.name);
	else if (r > 0)
		pd_resp_write_null(call->reply);
	return r < 0 ? r : 0;
}

int pd_kv_hrandfield(struct pd_call *call)
{
	struct source source = { .txn = call->txn };
	uint64_t size, wanted;
	struct pd_entry entry;
	struct pd_key key;
	bool with_values;
	int64_t count;
	int found;

	if (call->count == 2)
		return random_field(call);
	if (!parse_count(call, &count, &with_values))
		return 0;
	found = pd_kv_find(call, call->words[1], PD_TYPE_HASH, &key, &entry);
	if (found <= 0)
		return found;
	if (found == PD_KV_MISSING || count == 0) {
		pd_resp_write_array(call->reply, 0);
		return 0;
	}
	source.hash = &key;
	size = pd_kv_hash_count(&entry);
	wanted = count < 0 ? (uint64_t)-count : (uint64_t)count;
	if (count > 0 && wanted > size)
		wanted = size;
	write_header(call, wanted, with_values);
	if (count < 0 || wanted < size)
		return write_sample(call, &source, size, wanted, count < 0, with_values);
	write_all(call, &source, with_values);
	return 0;
}

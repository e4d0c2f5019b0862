#include "model/relation/relation.h"

#include <string.h>

#include "base/codec.h"

struct pd_relation pd_relation_mirror(const struct pd_relation *relation, struct pd_slice name)
{
	return (struct pd_relation){ .side = relation->side == PD_RELATION_IN ? PD_RELATION_OUT
									      : PD_RELATION_IN,
				     .kind = relation->kind,
				     .other = name };
}

const char *pd_relation_side_name(enum pd_relation_side side)
{
	return side == PD_RELATION_IN ? "in" : "out";
}

bool pd_relation_kind_is_good(struct pd_slice kind)
{
	if (kind.size == 0 || kind.size > PD_RELATION_KIND_MAX)
		return false;
	for (size_t i = 0; i < kind.size; i++) {
		uint8_t c = kind.data[i];

		if (c <= ' ' || c == 0x7f || c == '{' || c == '}' || c == '/')
			return false;
	}
	return true;
}

/* ---- keys ---- */

struct pd_slice pd_relation_prefix(enum pd_relation_side side, struct pd_slice kind,
				   uint8_t prefix[PD_RELATION_PREFIX_MAX])
{
	prefix[0] = (uint8_t)side;
	if (kind.size == 0)
		return pd_slice(prefix, 1);
	memcpy(prefix + 1, kind.data, kind.size);
	prefix[1 + kind.size] = 0;
	return pd_slice(prefix, 2 + kind.size);
}

struct pd_slice pd_relation_key(const struct pd_relation *relation, uint8_t key[PD_RELATION_KEY_MAX])
{
	size_t size = 1;

	key[0] = PD_SPACE_RELATION;
	size += pd_relation_prefix(relation->side, relation->kind, key + 1).size;
	memcpy(key + size, relation->other.data, relation->other.size);
	return pd_slice(key, size + relation->other.size);
}

bool pd_relation_read_key(struct pd_slice key, struct pd_relation *ret_relation)
{
	const uint8_t *end;

	if (key.size < 5 || key.size > PD_RELATION_KEY_MAX || key.data[0] != PD_SPACE_RELATION ||
	    (key.data[1] != PD_RELATION_IN && key.data[1] != PD_RELATION_OUT))
		return false;
	end = memchr(key.data + 2, 0, key.size - 2);
	if (end == NULL || end + 1 == key.data + key.size)
		return false;
	*ret_relation = (struct pd_relation){
		.side = (enum pd_relation_side)key.data[1],
		.kind = pd_slice(key.data + 2, (size_t)(end - key.data) - 2),
		.other = pd_slice(end + 1, (size_t)(key.data + key.size - end) - 1),
	};
	return pd_relation_kind_is_good(ret_relation->kind) &&
	       ret_relation->other.size <= PD_RELATION_NAME_MAX;
}

/* ---- how many there are ---- */

struct pd_slice pd_relation_count_write(const struct pd_relation_count *count,
					uint8_t value[PD_RELATION_COUNT_MAX])
{
	size_t size = pd_varint_put(value, count->out);

	return pd_slice(value, size + pd_varint_put(value + size, count->in));
}

bool pd_relation_count_read(struct pd_slice value, struct pd_relation_count *ret_count)
{
	size_t first = pd_varint_get(value.data, value.size, &ret_count->out);

	return first > 0 && first < value.size &&
	       first + pd_varint_get(value.data + first, value.size - first, &ret_count->in) == value.size &&
	       ret_count->out <= PD_RELATIONS_MAX && ret_count->in <= PD_RELATIONS_MAX;
}

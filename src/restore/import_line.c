#include "restore/import_line.h"

#include <inttypes.h>
#include <string.h>

#include "crypto/base64.h"
#include "log/level.h"
#include "restore/export.h"

#define DIGITS_MAX 19u /* of a number: INT64_MAX has as many */

/* ---- what it is made of; false, and a code below 0: it is not there ---- */

static bool take_text(struct pd_slice *rest, const char *text)
{
	struct pd_slice wanted = pd_slice_string(text);

	if (!pd_slice_starts_with(*rest, wanted))
		return false;
	*rest = pd_slice(rest->data + wanted.size, rest->size - wanted.size);
	return true;
}

static bool take_number(struct pd_slice *rest, const char *before, uint64_t least, uint64_t most,
			uint64_t *ret_number)
{
	size_t size = 0;
	int64_t number;

	if (!take_text(rest, before))
		return false;
	while (size < rest->size && size <= DIGITS_MAX && rest->data[size] >= '0' && rest->data[size] <= '9')
		size++;
	if (!pd_slice_to_int64(pd_slice(rest->data, size), &number) || (uint64_t)number < least ||
	    (uint64_t)number > most)
		return false;
	*rest = pd_slice(rest->data + size, rest->size - size);
	*ret_number = (uint64_t)number;
	return true;
}

/* Lower case, to the quote behind it. */
static bool take_hex(struct pd_slice *rest, const char *before, uint8_t *to, size_t size)
{
	if (!take_text(rest, before) || rest->size < 2 * size + 1)
		return false;
	for (size_t i = 0; i < 2 * size; i++) {
		uint8_t c = rest->data[i];
		unsigned digit = c >= '0' && c <= '9'   ? c - (unsigned)'0'
				 : c >= 'a' && c <= 'f' ? c - 'a' + 10u
							: 16u;

		if (digit == 16)
			return false;
		to[i / 2] = (uint8_t)(to[i / 2] << 4 | digit);
	}
	*rest = pd_slice(rest->data + 2 * size, rest->size - 2 * size);
	return take_text(rest, "\"");
}

static uint64_t from_digits(const uint8_t bytes[8])
{
	uint64_t number = 0;

	for (size_t i = 0; i < 8; i++)
		number = number << 8 | bytes[i];
	return number;
}

/* Behind the opening quote, up to the closing one. */
static int take_escaped(struct pd_slice *rest, struct pd_buffer *into)
{
	static const char plain[] = "\"\\nrt", meant[] = "\"\\\n\r\t";
	size_t at = 0;
	uint8_t *to;

	/* It only becomes shorter. */
	if (pd_buffer_reserve(into, rest->size) != 0)
		return PD_NO_MEMORY;
	to = into->data + into->size;
	for (; at < rest->size && rest->data[at] != '"'; at++) {
		uint8_t byte = rest->data[at];

		if (byte < ' ')
			return PD_CORRUPT;
		if (byte == '\\') {
			const char *escape = NULL;

			if (++at < rest->size)
				escape = memchr(plain, rest->data[at], sizeof plain - 1);
			if (escape == NULL)
				return PD_CORRUPT;
			byte = (uint8_t)meant[escape - plain];
		}
		*to++ = byte;
	}
	if (at == rest->size)
		return PD_CORRUPT;
	into->size = (size_t)(to - into->data);
	*rest = pd_slice(rest->data + at + 1, rest->size - at - 1);
	return 0;
}

static int take_base64(struct pd_slice *rest, struct pd_buffer *into)
{
	const uint8_t *end = rest->size > 0 ? memchr(rest->data, '"', rest->size) : NULL;
	size_t size = end != NULL ? (size_t)(end - rest->data) : 0, decoded = 0;

	if (end == NULL)
		return PD_CORRUPT;
	if (pd_buffer_reserve(into, size) != 0)
		return PD_NO_MEMORY;
	if (pd_crypto_base64_decode(pd_slice(rest->data, size), into->data, size, &decoded) != 0)
		return PD_CORRUPT;
	into->size = decoded;
	*rest = pd_slice(end, rest->size - size);
	return take_text(rest, "\"}") ? 0 : PD_CORRUPT;
}

/* A string, or {"base64":"…"}. */
static int take_bytes(struct pd_slice *rest, const char *before, struct pd_buffer *into)
{
	pd_buffer_clear(into);
	if (!take_text(rest, before))
		return PD_CORRUPT;
	if (take_text(rest, "\""))
		return take_escaped(rest, into);
	return take_text(rest, "{\"base64\":\"") ? take_base64(rest, into) : PD_CORRUPT;
}

/* ---- lines ---- */

static bool take_level(struct pd_slice *rest, enum pd_level *ret_level)
{
	const uint8_t *end;
	struct pd_slice name;

	if (!take_text(rest, ",\"durability\":\""))
		return false;
	end = rest->size > 0 ? memchr(rest->data, '"', rest->size) : NULL;
	if (end == NULL)
		return false;
	name = pd_slice(rest->data, (size_t)(end - rest->data));
	*rest = pd_slice(end + 1, rest->size - name.size - 1);
	*ret_level = PD_LEVEL_UNSET;
	return pd_slice_equal(name, pd_slice_string("default")) || pd_level_parse(name, ret_level);
}

/* Behind the version. */
static int parse_header(struct pd_slice *rest, struct pd_import_line *line)
{
	struct pd_quotas *quotas = &line->profile.quotas;
	int result = take_bytes(rest, ",\"at\":", line->bytes);

	if (result == 0)
		result = take_bytes(rest, ",\"at_time\":", line->bytes);
	if (result == 0 && !(take_level(rest, &line->profile.level) &&
			     take_number(rest, ",\"quota_keys\":", 0, INT64_MAX, &quotas->keys) &&
			     take_number(rest, ",\"quota_bytes\":", 0, INT64_MAX, &quotas->bytes) &&
			     take_number(rest, ",\"quota_ops\":", 0, PD_QUOTA_OPS_MAX, &quotas->ops) &&
			     take_number(rest, ",\"expire_after_s\":", 0, PD_IDLE_S_MAX, &quotas->idle_s)))
		result = PD_CORRUPT;
	return result;
}

/* Behind a key or a field. */
static int parse_value(struct pd_slice *rest, struct pd_import_line *line)
{
	line->what = PD_IMPORT_SIZE;
	if (take_number(rest, ",\"size\":", 1, INT64_MAX, &line->number))
		return 0;
	line->what = PD_IMPORT_FIELDS;
	if (line->kind == PD_IMPORT_KEY && take_number(rest, ",\"fields\":", 1, INT64_MAX, &line->number))
		return 0;
	line->what = PD_IMPORT_VALUE;
	return take_bytes(rest, ",\"value\":", line->bytes);
}

static int parse_end(struct pd_slice *rest, struct pd_import_line *line)
{
	uint8_t hash[16];

	if (!take_number(rest, ",\"lines\":", 1, INT64_MAX, &line->lines) ||
	    !take_number(rest, ",\"keys\":", 0, INT64_MAX, &line->keys) ||
	    !take_hex(rest, ",\"state_hash\":\"", hash, sizeof hash) ||
	    !take_hex(rest, ",\"sha256\":\"", line->sha256, sizeof line->sha256))
		return PD_CORRUPT;
	line->hash = (struct pd_hash128){ from_digits(hash), from_digits(hash + 8) };
	return 0;
}

/* Behind its direction. */
static int parse_relation(struct pd_slice *rest, struct pd_import_line *line)
{
	int result = take_bytes(rest, ",\"kind\":", line->name);

	if (result != 0)
		return result;
	if (!pd_relation_kind_is_good(pd_buffer_slice(line->name)))
		return PD_CORRUPT;
	memcpy(line->relation, line->name->data, line->name->size);
	line->relation_size = line->name->size;
	result = take_bytes(rest, ",\"actor\":", line->name);
	return result == 0 ? take_bytes(rest, ",\"data\":", line->bytes) : result;
}

static int parse(struct pd_slice *rest, struct pd_import_line *line)
{
	int result;

	line->kind = PD_IMPORT_RELATION;
	line->side = PD_RELATION_IN;
	if (take_text(rest, "{\"relation\":\"in\""))
		return parse_relation(rest, line);
	line->side = PD_RELATION_OUT;
	if (take_text(rest, "{\"relation\":\"out\""))
		return parse_relation(rest, line);
	if (take_text(rest, "{\"end\":true")) {
		line->kind = PD_IMPORT_END;
		return parse_end(rest, line);
	}
	line->kind = PD_IMPORT_PART;
	if (pd_slice_starts_with(*rest, pd_slice_string("{\"part\":")))
		return take_bytes(rest, "{\"part\":", line->bytes);
	line->kind = PD_IMPORT_FIELD;
	if (pd_slice_starts_with(*rest, pd_slice_string("{\"field\":"))) {
		result = take_bytes(rest, "{\"field\":", line->name);
	} else {
		line->kind = PD_IMPORT_KEY;
		result = take_bytes(rest, "{\"key\":", line->name);
		if (result == 0 && pd_slice_starts_with(*rest, pd_slice_string(",\"expires_us\":")) &&
		    !take_number(rest, ",\"expires_us\":", 1, INT64_MAX, &line->expires_us))
			return PD_CORRUPT;
	}
	return result == 0 ? parse_value(rest, line) : result;
}

static int parse_first(struct pd_slice *rest, struct pd_import_line *line, struct pd_error *err)
{
	uint64_t version = 0;
	int result;

	line->kind = PD_IMPORT_HEADER;
	if (!take_number(rest, "{\"perdure_actor\":", 1, INT64_MAX, &version))
		return pd_error_set(err, PD_CORRUPT, "an export of an actor begins otherwise");
	if (version > PD_EXPORT_VERSION)
		return pd_error_set(err, PD_NEWER_FORMAT,
				    "the export is of version %" PRIu64
				    ", and this server reads %u: import it with a newer Perdure",
				    version, PD_EXPORT_VERSION);
	line->version = version;
	result = take_bytes(rest, ",\"actor\":", line->name);
	return result == 0 ? parse_header(rest, line) : result;
}

int pd_import_line_parse(struct pd_slice text, bool first, struct pd_import_line *line, struct pd_error *err)
{
	struct pd_error why = { 0 };
	struct pd_slice rest = text;
	int result;

	line->number = line->expires_us = 0;
	result = first ? parse_first(&rest, line, &why) : parse(&rest, line);
	if (result == 0 && (!take_text(&rest, "}") || rest.size > 0))
		result = PD_CORRUPT;
	if (result == 0)
		return 0;
	if (why.code != 0)
		return pd_error_set(err, result, "%s", why.text);
	if (result == PD_NO_MEMORY)
		return pd_error_set(err, result, "out of memory for an import");
	return pd_error_set(err, result, "byte %zu: no line of an export goes on like that",
			    text.size - rest.size + 1);
}

#include "provider/s3/json_fields.h"

#include <stdbool.h>
#include <string.h>

/* RFC 8259, without what is nested: an array or an object as a value is refused. */
struct scan {
	const uint8_t *at, *end;
};

static void skip_space(struct scan *scan)
{
	while (scan->at < scan->end && strchr(" \t\r\n", *scan->at) != NULL && *scan->at != '\0')
		scan->at++;
}

static bool take(struct scan *scan, char byte)
{
	skip_space(scan);
	if (scan->at >= scan->end || *scan->at != (uint8_t)byte)
		return false;
	scan->at++;
	return true;
}

/* Four digits behind \u. Only what is ASCII: keys, tokens and times are nothing else. */
static int take_escaped_number(struct scan *scan, struct pd_buffer *text)
{
	unsigned number = 0;

	if (scan->end - scan->at < 4)
		return PD_CORRUPT;
	for (size_t i = 0; i < 4; i++) {
		const char *digits = "0123456789abcdefABCDEF";
		const char *found = scan->at[i] != '\0' ? strchr(digits, scan->at[i]) : NULL;
		unsigned digit;

		if (found == NULL)
			return PD_CORRUPT;
		digit = (unsigned)(found - digits);
		number = number * 16 + (digit < 16 ? digit : digit - 6);
	}
	scan->at += 4;
	if (number == 0 || number > 127)
		return PD_CORRUPT;
	return pd_buffer_append(text, &(uint8_t){ (uint8_t)number }, 1);
}

static int take_escape(struct scan *scan, struct pd_buffer *text)
{
	static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (scan->at >= scan->end || *scan->at == '\0')
		return PD_CORRUPT;
	if (*scan->at == 'u') {
		scan->at++;
		return take_escaped_number(scan, text);
	}
	found = strchr(escapes, *scan->at++);
	return found != NULL ? pd_buffer_append(text, &meanings[found - escapes], 1) : PD_CORRUPT;
}

/* The rest of a string, behind its first quote. */
static int take_string(struct scan *scan, struct pd_buffer *text)
{
	int rc = 0;

	while (rc == 0) {
		uint8_t byte;

		if (scan->at >= scan->end || *scan->at < ' ')
			return PD_CORRUPT;
		byte = *scan->at++;
		if (byte == '"')
			return 0;
		rc = byte == '\\' ? take_escape(scan, text) : pd_buffer_append(text, &byte, 1);
	}
	return rc;
}

static bool is_plain(uint8_t byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
	       byte == '+' || byte == '-' || byte == '.';
}

/* A number, true, false or null. */
static bool skip_plain(struct scan *scan)
{
	const uint8_t *from = scan->at;

	while (scan->at < scan->end && is_plain(*scan->at))
		scan->at++;
	return scan->at > from;
}

/* One name with its value; *ret_found: it is the one that is looked for (NULL: none is any more). */
static int take_field(struct scan *scan, const char *name, struct pd_buffer *text, bool *ret_found)
{
	struct pd_buffer field;
	size_t before = text->size;
	int rc;

	*ret_found = false;
	if (!take(scan, '"'))
		return PD_CORRUPT;
	pd_buffer_init(&field, 1024);
	rc = take_string(scan, &field);
	*ret_found = rc == 0 && name != NULL &&
		     pd_slice_equal(pd_buffer_slice(&field), pd_slice_string(name));
	pd_buffer_done(&field);
	if (rc == 0 && !take(scan, ':'))
		rc = PD_CORRUPT;
	if (rc != 0)
		return rc;
	skip_space(scan);
	if (!take(scan, '"')) {
		*ret_found = false;
		return skip_plain(scan) ? 0 : PD_CORRUPT;
	}
	rc = take_string(scan, text);
	if (!*ret_found || rc != 0)
		text->size = before;
	return rc;
}

int pd_s3_json_field(struct pd_slice document, const char *name, struct pd_buffer *ret_text)
{
	struct scan scan = { document.data, document.data + document.size };
	bool found = false, is_it, any = false;
	size_t before = ret_text->size;
	int rc = 0;

	if (document.size == 0 || !take(&scan, '{'))
		return PD_CORRUPT;
	/* To its end: half a document may have half a token. */
	while (rc == 0 && !take(&scan, '}')) {
		if (any && !take(&scan, ','))
			rc = PD_CORRUPT;
		else
			rc = take_field(&scan, found ? NULL : name, ret_text, &is_it);
		found = found || (rc == 0 && is_it);
		any = true;
	}
	skip_space(&scan);
	if (rc == 0 && scan.at != scan.end)
		rc = PD_CORRUPT;
	if (rc == 0 && !found)
		rc = PD_NOT_FOUND;
	if (rc == 0)
		rc = pd_buffer_append(ret_text, "", 1);
	if (rc != 0)
		ret_text->size = before;
	return rc;
}

#include "provider/s3/xml.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <expat.h>

#include "base/buffer.h"
#include "base/memory.h"

enum {
	PATH_MAX_SIZE = 256,
	TEXT_MAX = 16 * 1024, /* a session token is the longest that there is */
};

struct parse {
	const struct pd_s3_xml_reader *reader;
	XML_Parser parser;
	char path[PATH_MAX_SIZE];
	struct pd_buffer text; /* of the innermost element, since its last child */
	int rc;
};

static void stop(struct parse *parse, int rc)
{
	if (parse->rc == 0)
		parse->rc = rc;
	(void)XML_StopParser(parse->parser, XML_FALSE);
}

static void on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
	struct parse *parse = context;
	size_t used = strlen(parse->path), size;
	const char *colon = strchr(name, ':');

	(void)attributes;
	if (parse->rc != 0)
		return;
	if (colon != NULL)
		name = colon + 1;
	size = strlen(name);
	/* "s:" is a name to the reader, and would be no part of a path. */
	if (size == 0 || used + size + 2 > sizeof parse->path) {
		stop(parse, PD_CORRUPT);
		return;
	}
	if (used > 0)
		parse->path[used++] = '/';
	memcpy(parse->path + used, name, size + 1);
	pd_buffer_clear(&parse->text);
}

static void on_end(void *context, const XML_Char *name)
{
	struct parse *parse = context;
	char *slash;
	int rc = 0;

	(void)name;
	if (parse->rc != 0)
		return;
	if (parse->text.size > 0) {
		rc = pd_buffer_append(&parse->text, "", 1);
		if (rc == 0)
			rc = parse->reader->text(parse->reader->context, parse->path,
						 (const char *)parse->text.data);
	}
	if (rc == 0 && parse->reader->end != NULL)
		rc = parse->reader->end(parse->reader->context, parse->path);
	slash = strrchr(parse->path, '/');
	*(slash != NULL ? slash : parse->path) = '\0';
	pd_buffer_clear(&parse->text);
	if (rc != 0)
		stop(parse, rc == PD_TOO_LARGE ? PD_CORRUPT : rc);
}

static void on_text(void *context, const XML_Char *text, int size)
{
	struct parse *parse = context;
	int rc;

	if (parse->rc != 0)
		return;
	rc = pd_buffer_append(&parse->text, text, (size_t)size);
	if (rc != 0)
		stop(parse, rc == PD_TOO_LARGE ? PD_CORRUPT : rc);
}

/* Whoever declares entities wants to do harm: these services declare nothing. */
static void on_doctype(void *context, const XML_Char *name, const XML_Char *system_id,
		       const XML_Char *public_id, int has_subset)
{
	(void)name, (void)system_id, (void)public_id, (void)has_subset;
	stop(context, PD_CORRUPT);
}

int pd_s3_xml_read(struct pd_slice document, const struct pd_s3_xml_reader *reader)
{
	const XML_Memory_Handling_Suite memory = { pd_malloc, pd_realloc, pd_free };
	struct parse parse = { .reader = reader };
	enum XML_Status status;

	if (document.size > INT32_MAX)
		return PD_CORRUPT;
	parse.parser = XML_ParserCreate_MM("UTF-8", &memory, NULL);
	if (parse.parser == NULL)
		return PD_NO_MEMORY;
	pd_buffer_init(&parse.text, TEXT_MAX);
	XML_SetUserData(parse.parser, &parse);
	XML_SetElementHandler(parse.parser, on_start, on_end);
	XML_SetCharacterDataHandler(parse.parser, on_text);
	XML_SetStartDoctypeDeclHandler(parse.parser, on_doctype);
	status = XML_Parse(parse.parser, (const char *)document.data, (int)document.size, 1);
	if (status != XML_STATUS_OK && parse.rc == 0)
		parse.rc = XML_GetErrorCode(parse.parser) == XML_ERROR_NO_MEMORY ? PD_NO_MEMORY : PD_CORRUPT;
	pd_buffer_done(&parse.text);
	XML_ParserFree(parse.parser);
	return parse.rc;
}

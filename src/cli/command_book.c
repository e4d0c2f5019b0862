#include "cli/command_book.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "cli/target.h"
#include "wire/resp.h"

#define PAGES_FIRST  256
#define TOKENS_MAX   48
#define COMMANDS_MAX 10000 /* of a server that means well */
#define TEXT_MAX     4096  /* bytes of one text */
#define SYNTAX_MAX   4096
#define SYNTAX_DEPTH 8

void pd_command_book_init(struct pd_command_book *book)
{
	*book = (struct pd_command_book){ 0 };
}

static void free_page(const struct pd_command_page *page)
{
	pd_free(page->name);
	pd_free(page->summary);
	pd_free(page->group);
	pd_free(page->since);
	pd_free(page->complexity);
	pd_free(page->syntax);
}

void pd_command_book_done(struct pd_command_book *book)
{
	for (size_t i = 0; i < book->count; i++)
		free_page(book->pages + i);
	pd_free(book->pages);
	pd_command_book_init(book);
}

/* ---- loading ---- */

/* A text of the server's as one of ours: nothing in it reaches a terminal that it would obey. NULL: no memory. */
static char *plain_text(struct pd_slice text)
{
	struct pd_buffer plain;
	char *copy = NULL;

	pd_buffer_init(&plain, 4 * TEXT_MAX);
	if (pd_append_line(&plain, pd_slice(text.data, text.size < TEXT_MAX ? text.size : TEXT_MAX)) == 0)
		copy = pd_asprintf("%.*s", (int)plain.size, plain.size > 0 ? (const char *)plain.data : "");
	pd_buffer_done(&plain);
	return copy;
}

/* "config|get" as "CONFIG GET". */
static char *name_of(struct pd_slice name)
{
	char *text = plain_text(name);

	for (char *at = text; at != NULL && *at != '\0'; at++) {
		if (*at == '|')
			*at = ' ';
		else if (*at >= 'a' && *at <= 'z')
			*at = (char)(*at - ('a' - 'A'));
	}
	return text;
}

static char *field_text(struct pd_slice map, const char *name)
{
	struct pd_reply reply = { 0 };
	struct pd_slice value;

	if (pd_reply_field(map, name, &value))
		reply = pd_reply_read(&value);
	return plain_text(reply.kind == PD_REPLY_TEXT ? reply.text : pd_slice(NULL, 0));
}

/* ---- arguments as a line of syntax ---- */

static bool has_flag(struct pd_slice argument, const char *flag)
{
	struct pd_slice flags;
	struct pd_reply list;

	if (!pd_reply_field(argument, "flags", &flags))
		return false;
	list = pd_reply_read(&flags);
	for (size_t i = 0; list.kind == PD_REPLY_LIST && i < list.count; i++) {
		struct pd_slice at = flags;

		if (pd_slice_equal(pd_reply_read(&at).text, pd_slice_string(flag)))
			return true;
		pd_reply_skip(&flags);
	}
	return false;
}

static bool field_is(struct pd_slice argument, const char *name, const char *value)
{
	struct pd_slice field;

	return pd_reply_field(argument, name, &field) &&
	       pd_slice_equal(pd_reply_read(&field).text, pd_slice_string(value));
}

static int append_argument(struct pd_buffer *text, struct pd_slice argument, unsigned depth);

/* The arguments of an argument: one of them, or all. */
static int append_inner(struct pd_buffer *text, struct pd_slice arguments, const char *separator,
			unsigned depth)
{
	struct pd_reply list = pd_reply_read(&arguments);
	int result = 0;

	for (size_t i = 0; list.kind == PD_REPLY_LIST && i < list.count && result == 0; i++) {
		if (i > 0)
			result = pd_buffer_append(text, separator, 1);
		if (result == 0)
			result = append_argument(text, arguments, depth + 1);
		pd_reply_skip(&arguments);
	}
	return result;
}

/* What the user writes in its place: "seconds". */
static int append_name(struct pd_buffer *text, struct pd_slice argument)
{
	size_t began = text->size;
	struct pd_slice name;
	int result;

	if (!pd_reply_field(argument, "display_text", &name) && !pd_reply_field(argument, "name", &name))
		return 0;
	result = pd_buffer_append_slice(text, pd_reply_read(&name).text);
	for (size_t i = began; i < text->size; i++)
		if (text->data[i] == '_')
			text->data[i] = '-';
	return result;
}

/* "EX seconds", "NX|XX", "field value": without what says how often. */
static int append_once(struct pd_buffer *text, struct pd_slice argument, unsigned depth)
{
	bool pure = field_is(argument, "type", "pure-token");
	struct pd_slice token, inner;
	int result = 0;

	if (pd_reply_field(argument, "token", &token)) {
		result = pd_buffer_append_slice(text, pd_reply_read(&token).text);
		if (result == 0 && !pure)
			result = pd_buffer_append(text, " ", 1);
	}
	if (result != 0 || pure)
		return result;
	if (pd_reply_field(argument, "arguments", &inner))
		return append_inner(text, inner, field_is(argument, "type", "oneof") ? "|" : " ", depth);
	return append_name(text, argument);
}

static int append_argument(struct pd_buffer *text, struct pd_slice argument, unsigned depth)
{
	bool optional = has_flag(argument, "optional"), multiple = has_flag(argument, "multiple");
	int result = 0;

	if (depth > SYNTAX_DEPTH)
		return 0;
	if (optional)
		result = pd_buffer_append(text, "[", 1);
	if (result == 0)
		result = append_once(text, argument, depth);
	if (result == 0 && multiple && !optional) {
		result = pd_buffer_append(text, " [", 2);
		if (result == 0)
			result = append_once(text, argument, depth);
	}
	if (result == 0 && multiple)
		result = pd_buffer_append(text, " ...", 4);
	if (result == 0 && (optional || multiple))
		result = pd_buffer_append(text, "]", 1);
	return result;
}

/* NULL: it is not known, or there is no memory for it; a hint is missing then. */
static char *syntax_of(struct pd_slice map)
{
	struct pd_buffer text;
	struct pd_slice arguments;
	char *syntax = NULL;

	pd_buffer_init(&text, SYNTAX_MAX);
	if (pd_reply_field(map, "arguments", &arguments) && append_inner(&text, arguments, " ", 0) == 0)
		syntax = plain_text(pd_buffer_slice(&text));
	pd_buffer_done(&text);
	return syntax;
}

/* ---- pages ---- */

static int add_page(struct pd_command_book *book, struct pd_slice name, struct pd_slice map)
{
	struct pd_command_page *pages = pd_grow(book->pages, book->count, &book->capacity, sizeof *pages,
						PAGES_FIRST);
	struct pd_command_page page = { .name = name_of(name),
					.syntax = syntax_of(map),
					.summary = field_text(map, "summary"),
					.group = field_text(map, "group"),
					.since = field_text(map, "since"),
					.complexity = field_text(map, "complexity") };

	if (pages != NULL)
		book->pages = pages;
	if (pages == NULL || page.name == NULL || page.summary == NULL || page.group == NULL ||
	    page.since == NULL || page.complexity == NULL) {
		free_page(&page);
		return PD_NO_MEMORY;
	}
	pages[book->count++] = page;
	return 0;
}

/* The names and fields of a map of COMMAND DOCS, and of the subcommands in it: those have none of their own. */
static int add_pages(struct pd_command_book *book, struct pd_slice rest, bool top)
{
	struct pd_reply list = pd_reply_read(&rest);
	int result = 0;

	for (size_t i = 0; list.kind == PD_REPLY_LIST && i + 1 < list.count && result == 0; i += 2) {
		struct pd_reply name = pd_reply_read(&rest);
		struct pd_slice map = rest, subcommands;

		if (name.kind != PD_REPLY_TEXT || book->count >= COMMANDS_MAX)
			return 0;
		if (!top || !pd_reply_field(map, "subcommands", &subcommands))
			result = add_page(book, name.text, map);
		else
			result = add_pages(book, subcommands, false);
		pd_reply_skip(&rest);
	}
	return result;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct pd_command_page *)a)->name, ((const struct pd_command_page *)b)->name);
}

int pd_command_book_load(struct pd_command_book *book, struct pd_link *link, struct pd_error *err)
{
	static const char *const words[] = { "COMMAND", "DOCS", NULL };
	struct pd_slice reply;
	int result;

	pd_command_book_done(book);
	result = pd_target_ask(link, words, &reply, err);
	if (result == PD_INVALID)
		return 0;
	if (result != 0)
		return result;
	result = add_pages(book, reply, true);
	if (result != 0)
		return pd_error_set(err, result, "out of memory for the list of commands");
	if (book->count > 0)
		qsort(book->pages, book->count, sizeof *book->pages, by_name);
	return 0;
}

/* ---- finding ---- */

/* How many of the words the name takes up; 0: they begin otherwise. */
static size_t name_words(const char *name, const struct pd_words *words)
{
	size_t count = 0;

	for (; *name != '\0'; count++) {
		size_t size = strcspn(name, " ");

		if (count >= words->count || words->items[count].size != size ||
		    strncasecmp((const char *)words->items[count].data, name, size) != 0)
			return 0;
		name += size + (name[size] == ' ');
	}
	return count;
}

const struct pd_command_page *pd_command_book_find(const struct pd_command_book *book,
						   const struct pd_words *words, size_t *ret_name_words)
{
	const struct pd_command_page *found = NULL;
	size_t most = 0;

	for (size_t i = 0; i < book->count; i++) {
		size_t count = name_words(book->pages[i].name, words);

		if (count > most) {
			most = count;
			found = book->pages + i;
		}
	}
	if (found != NULL)
		*ret_name_words = most;
	return found;
}

/* ---- syntax ---- */

/* "key value [EX seconds|PX milliseconds]" as its parts; brackets keep theirs together. */
static size_t split_syntax(const char *syntax, struct pd_slice tokens[TOKENS_MAX])
{
	size_t count = 0;

	while (*syntax != '\0' && count < TOKENS_MAX) {
		size_t size = 0, depth = 0;

		for (; syntax[size] != '\0' && (depth > 0 || syntax[size] != ' '); size++) {
			depth += syntax[size] == '[';
			depth -= syntax[size] == ']' && depth > 0;
		}
		tokens[count++] = pd_slice(syntax, size);
		syntax += size + (syntax[size] == ' ');
	}
	return count;
}

static bool is_keyword_byte(uint8_t byte)
{
	return (byte >= 'A' && byte <= 'Z') || byte == '-' || (byte >= '0' && byte <= '9');
}

/* The next word in capitals of a piece of syntax, from *at on. Size 0: there is none. */
static struct pd_slice next_keyword(struct pd_slice token, size_t *at)
{
	while (*at < token.size) {
		size_t began = *at;
		bool inside = began > 0 && ((token.data[began - 1] | 0x20) >= 'a') &&
			      ((token.data[began - 1] | 0x20) <= 'z');

		while (*at < token.size && is_keyword_byte(token.data[*at]))
			(*at)++;
		if (*at - began > 1 && !inside && token.data[began] >= 'A' &&
		    (*at == token.size || !(token.data[*at] >= 'a' && token.data[*at] <= 'z')))
			return pd_slice(token.data + began, *at - began);
		*at += *at == began;
	}
	return pd_slice(NULL, 0);
}

/* Has one of the token's keywords been typed already? */
static bool was_typed(struct pd_slice token, const struct pd_words *words, size_t from)
{
	struct pd_slice keyword;

	for (size_t at = 0; (keyword = next_keyword(token, &at)).size > 0;)
		for (size_t i = from; i < words->count; i++)
			if (words->items[i].size == keyword.size &&
			    strncasecmp((const char *)words->items[i].data, (const char *)keyword.data,
					keyword.size) == 0)
				return true;
	return false;
}

int pd_command_book_hint(const struct pd_command_book *book, const struct pd_words *words,
			 struct pd_buffer *hint)
{
	struct pd_slice tokens[TOKENS_MAX];
	size_t name_size = 0, count, next, typed;
	const struct pd_command_page *page = pd_command_book_find(book, words, &name_size);
	int result = 0;

	if (page == NULL || page->syntax == NULL)
		return 0;
	count = split_syntax(page->syntax, tokens);
	typed = words->count - name_size;
	for (next = 0; next < count && typed > 0 && tokens[next].data[0] != '['; next++)
		typed--;
	for (bool first = true; next < count && result == 0; next++) {
		if (was_typed(tokens[next], words, name_size))
			continue;
		if (!first)
			result = pd_buffer_append(hint, " ", 1);
		if (result == 0)
			result = pd_buffer_append_slice(hint, tokens[next]);
		first = false;
	}
	return result;
}

/* ---- completion ---- */

static bool begins_with(struct pd_slice word, struct pd_slice part)
{
	return word.size >= part.size &&
	       (part.size == 0 ||
		strncasecmp((const char *)word.data, (const char *)part.data, part.size) == 0);
}

/* Word number `index` of a name; size 0: it has fewer. */
static struct pd_slice name_word(const char *name, size_t index)
{
	for (; index > 0; index--) {
		name += strcspn(name, " ");
		if (*name == '\0')
			return pd_slice(NULL, 0);
		name++;
	}
	return pd_slice(name, strcspn(name, " "));
}

void pd_command_book_complete(const struct pd_command_book *book, const struct pd_words *words,
			      struct pd_slice part, void (*take)(void *context, struct pd_slice word),
			      void *context)
{
	const struct pd_command_page *page;
	size_t name_size = 0;

	for (size_t i = 0; i < book->count; i++) {
		struct pd_slice word = name_word(book->pages[i].name, words->count);
		bool same = words->count < 2;

		if (words->count == 1) {
			struct pd_slice first = name_word(book->pages[i].name, 0);

			same = first.size == words->items[0].size && begins_with(first, words->items[0]);
		}
		if (same && word.size > 0 && begins_with(word, part))
			take(context, word);
	}
	page = pd_command_book_find(book, words, &name_size);
	if (page != NULL && page->syntax != NULL) {
		struct pd_slice keyword, syntax = pd_slice_string(page->syntax);

		for (size_t at = 0; (keyword = next_keyword(syntax, &at)).size > 0;)
			if (begins_with(keyword, part))
				take(context, keyword);
	}
}

/* `help` in the shell. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/options.h"
#include "server/server.h"
#include "cli/shell_private.h"

#define NAMES_MAX 1024

static const char general[] =
	"Commands go to the server; their replies are shown with their types.\n"
	"\n"
	"  help COMMAND      what it does and how it is written\n"
	"  help @GROUP       the commands of a group; 'help @' lists the groups\n"
	"  \\watch [SECONDS]  repeat the last command every 2 seconds, or as said, until Ctrl-C\n"
	"  \\format FORM      show replies pretty, raw or as json\n"
	"  \\timing           say how long each command took; again: no more\n"
	"  clear             clear the screen\n"
	"  exit              leave; Ctrl-D, too\n"
	"\n"
	"TAB completes, Ctrl-R searches what was typed before, \"a b\\n\\x00\" and 'a b' are one word.\n"
	"A number before a command repeats it: 5 INCR hits\n"
	"Lines with passwords, and those that begin with a blank, are not remembered.\n";

static bool print_groups(const struct pd_command_book *book)
{
	const char *last = "";

	/* There are few, and they are printed in the order in which they are met first. */
	for (size_t i = 0; i < book->count; i++) {
		bool seen = false;

		for (size_t j = 0; j < i && !seen; j++)
			seen = strcmp(book->pages[j].group, book->pages[i].group) == 0;
		if (!seen) {
			(void)printf("  @%s\n", book->pages[i].group);
			last = book->pages[i].group;
		}
	}
	return last[0] != '\0';
}

static bool print_group(const struct pd_command_book *book, struct pd_slice group)
{
	bool any = false;

	for (size_t i = 0; i < book->count; i++) {
		const struct pd_command_page *page = book->pages + i;

		if (!pd_slice_equal_nocase(group, page->group))
			continue;
		(void)printf("  %s%s%s\n      %s\n", page->name,
			     page->syntax != NULL && page->syntax[0] != '\0' ? " " : "",
			     page->syntax != NULL ? page->syntax : "", page->summary);
		any = true;
	}
	return any;
}

static void print_page(const struct pd_command_page *page)
{
	(void)printf("\n  %s%s%s\n  %s\n", page->name,
		     page->syntax != NULL && page->syntax[0] != '\0' ? " " : "",
		     page->syntax != NULL ? page->syntax : "", page->summary);
	(void)printf("  time: %s\n  group: @%s, since %s\n\n", page->complexity, page->group, page->since);
}

/* All that begin with these words: "help config" has no command of its own. */
static bool print_beginning(const struct pd_command_book *book, struct pd_slice word)
{
	bool any = false;

	for (size_t i = 0; i < book->count; i++) {
		const char *name = book->pages[i].name;

		if (strncasecmp(name, (const char *)word.data, word.size) != 0 || name[word.size] != ' ')
			continue;
		print_page(book->pages + i);
		any = true;
	}
	return any;
}

static void say_unknown(const struct pd_command_book *book, struct pd_slice word, FILE *errors)
{
	const char *names[NAMES_MAX + 1], *nearest;
	char text[64];
	size_t count = 0;

	for (size_t i = 0; i < book->count && count < NAMES_MAX; i++)
		names[count++] = book->pages[i].name;
	names[count] = NULL;
	(void)snprintf(text, sizeof text, "%.*s", (int)(word.size < 63 ? word.size : 63),
		       (const char *)word.data);
	for (char *at = text; *at != '\0'; at++)
		*at = *at >= 'a' && *at <= 'z' ? (char)(*at - ('a' - 'A')) : *at;
	nearest = pd_nearest_name(text, names);
	if (book->count == 0)
		(void)fprintf(errors, "the server does not say which commands it has\n");
	else if (nearest != NULL)
		(void)fprintf(errors, "there is no command %s; did you mean %s?\n", text, nearest);
	else
		(void)fprintf(errors, "there is no command %s; 'help @' lists the groups of commands\n",
			      text);
}

bool pd_shell_help(const struct pd_command_book *book, const struct pd_words *words, FILE *errors)
{
	struct pd_words asked = *words;
	const struct pd_command_page *page;
	size_t name_words;

	if (words->count < 2) {
		(void)fputs(general, stdout);
		return true;
	}
	asked.items++;
	asked.count--;
	if (asked.items[0].size > 0 && asked.items[0].data[0] == '@') {
		struct pd_slice group = pd_slice(asked.items[0].data + 1, asked.items[0].size - 1);

		if (group.size == 0 ? print_groups(book) : print_group(book, group))
			return true;
		say_unknown(book, asked.items[0], errors);
		return false;
	}
	page = pd_command_book_find(book, &asked, &name_words);
	if (page != NULL)
		print_page(page);
	if ((asked.count == 1 && print_beginning(book, asked.items[0])) || page != NULL)
		return true;
	say_unknown(book, asked.items[0], errors);
	return false;
}

int pd_shell_help_once(struct pd_shell *shell, const struct pd_words *words)
{
	struct pd_command_book book;
	struct pd_error err = { 0 };
	int result, status = PD_EXIT_FAILURE;

	if (words->count < 2) {
		(void)fputs(
			"Commands go to the server; 'perdure cli' alone, at a terminal, is a shell for "
			"them.\n"
			"\n"
			"  perdure cli help COMMAND   what it does and how it is written\n"
			"  perdure cli help @GROUP    the commands of a group; 'help @' lists the groups\n"
			"  perdure cli --help         options, and where the server is looked for\n",
			stdout);
		return PD_EXIT_OK;
	}
	pd_command_book_init(&book);
	result = pd_shell_connect(shell, &err);
	if (result == 0)
		result = pd_command_book_load(&book, &shell->link, &err);
	if (result != 0)
		(void)fprintf(stderr, "perdure cli: %s\n", err.text);
	else
		status = pd_shell_help(&book, words, stderr) ? PD_EXIT_OK : PD_EXIT_FAILURE;
	pd_command_book_done(&book);
	return status;
}

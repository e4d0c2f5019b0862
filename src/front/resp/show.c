#include "front/resp/show.h"

#include <ctype.h>
#include <string.h>

#include "config/setting.h"
#include "front/resp/front_private.h"
#include "os/os.h"

/* What of a request is shown at most. */
#define WORDS_MAX 128
#define BYTES_MAX 1024 /* of a word */

/* HELLO 3 AUTH name password SETNAME name: what stands behind AUTH. */
static bool is_behind_auth(const struct pd_slice *words, size_t i)
{
	for (size_t back = 1; back <= 2 && back < i; back++)
		if (pd_slice_equal_nocase(words[i - back], "auth"))
			return true;
	return false;
}

/* CONFIG SET name value …: the value of a setting that is secret. */
static bool is_secret_setting(const struct pd_slice *words, size_t i)
{
	enum pd_setting_id id = i >= 3 && i % 2 == 1 ? pd_setting_by_config_name(words[i - 1])
						     : PD_SETTING_COUNT;

	return id != PD_SETTING_COUNT && (pd_setting(id)->flags & PD_SETTING_SECRET) != 0;
}

struct pd_slice pd_resp_shown_word(const struct pd_resp_entry *entry, const struct pd_slice *words, size_t i)
{
	size_t plain = entry->subcommand ? 2 : 1;

	if (strcmp(entry->name.text, "config|set") == 0 && is_secret_setting(words, i))
		return pd_slice_string("(redacted)");
	if ((entry->command.flags & PD_COMMAND_SECRET) == 0 || i < plain ||
	    (strcmp(entry->name.text, "hello") == 0 && !is_behind_auth(words, i)))
		return words[i];
	return pd_slice_string("(redacted)");
}

/* Within quotes, in printable ASCII, as Redis does it. */
static int append_quoted(struct pd_buffer *line, struct pd_slice word)
{
	static const char plain[] = "\\\"\n\r\t\a\b", marks[] = "\\\"nrtab";
	size_t shown = word.size < BYTES_MAX ? word.size : BYTES_MAX;
	int result = pd_buffer_append(line, " \"", 2);

	for (size_t i = 0; i < shown && result == 0; i++) {
		char c = (char)word.data[i];
		const char *mark = c != '\0' ? strchr(plain, c) : NULL;

		if (mark != NULL)
			result = pd_buffer_printf(line, "\\%c", marks[mark - plain]);
		else if (isprint((unsigned char)c) && (unsigned char)c < 0x80)
			result = pd_buffer_append(line, &c, 1);
		else
			result = pd_buffer_printf(line, "\\x%02x", (unsigned char)c);
	}
	if (result == 0 && shown < word.size)
		result = pd_buffer_printf(line, "... (%zu more bytes)", word.size - shown);
	return result == 0 ? pd_buffer_append(line, "\"", 1) : result;
}

static int write_line(struct pd_buffer *line, const struct pd_resp_client *client,
		      const struct pd_resp_entry *entry, const struct pd_slice *words, size_t count)
{
	uint64_t now = pd_os_real_us(client->front->os);
	size_t shown = count < WORDS_MAX ? count : WORDS_MAX;
	int result = pd_buffer_printf(line, "+%llu.%06llu [0 %s]", (unsigned long long)(now / 1000000),
				      (unsigned long long)(now % 1000000), client->connection->peer);

	for (size_t i = 0; i < shown && result == 0; i++)
		result = append_quoted(line, pd_resp_shown_word(entry, words, i));
	if (result == 0 && shown < count)
		result = pd_buffer_printf(line, " ... (%zu more arguments)", count - shown);
	return result == 0 ? pd_buffer_append(line, "\r\n", 2) : result;
}

void pd_resp_show(struct pd_resp_client *client, const struct pd_resp_entry *entry,
		  const struct pd_slice *words, size_t count, bool within)
{
	struct pd_resp_front *front = client->front;
	struct pd_buffer line;
	int result;

	if (front->monitor_count == 0 || (entry->command.flags & PD_COMMAND_ADMIN) != 0)
		return;
	pd_buffer_init(&line, 1u << 20);
	result = write_line(&line, client, entry, words, count);
	for (size_t i = 0; i < front->monitor_count; i++) {
		if (within && front->monitors[i] == client)
			continue;
		if (result == 0)
			pd_resp_push_send(front->monitors[i], pd_buffer_slice(&line), NULL);
		else
			pd_resp_push_overrun(front->monitors[i], "there is no memory for a line of MONITOR");
	}
	pd_buffer_done(&line);
}

int pd_resp_show_to(struct pd_resp_client *client)
{
	struct pd_resp_front *front = client->front;

	if (client->monitoring)
		return 0;
	if (front->monitor_count == PD_RESP_MONITORS_MAX)
		return PD_TOO_LARGE;
	front->monitors[front->monitor_count++] = client;
	client->monitoring = true;
	return 0;
}

void pd_resp_show_no_more(struct pd_resp_client *client)
{
	struct pd_resp_front *front = client->front;

	for (size_t i = 0; i < front->monitor_count; i++)
		if (front->monitors[i] == client)
			front->monitors[i] = front->monitors[--front->monitor_count];
	client->monitoring = false;
}

/* lmtpload - keep an LMTP server busy, and measure it
 *
 * usage: lmtpload SOCKET CONNECTIONS SECONDS WARM_UP OCTETS RECIPIENTS <ADDRESSES
 *
 * CONNECTIONS connections to the UNIX socket stay open, each with message after message: MAIL, RECIPIENTS times RCPT
 * and DATA in one write (RFC 2920, as MTAs do), then a message of OCTETS octets, then one reply for each recipient
 * (RFC 2033). ADDRESSES, one a line, are used in turn. Each message has a Message-ID of its own. A reply that is not
 * positive ends the program with status 1.
 *
 * What happens in the first WARM_UP seconds is not counted, then it is counted for SECONDS. Messages under way at
 * the end may end. One line of JSON tells the result: messages that were answered after the first one of the time
 * that counts, the seconds from that one's last reply to the very last, so that even few messages make a rate; the
 * latency from the first octet sent to the last reply read; and of the whole time, all messages and our own seconds
 * of CPU. One thread, one epoll: the less it costs, the more is left for the server.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum step { GREETING, LHLO, COMMANDS, CONTENT };

struct client {
    int fd;
    enum step step;
    int awaited;         /* final replies that are still to come in this step */
    double started;
    char line[1024];     /* of a reply, as far as it has come */
    size_t length;
    char *head;          /* commands, or the header of the message */
    size_t head_length;
    size_t sent, total;  /* octets of head and body together */
    bool with_body, writing;
};

#define GRACE 60 /* seconds beyond which a message that was not answered never will be */

static char **addresses;
static int address_count, next_address, recipients, alive;
static char *body;       /* with the final dot */
static size_t body_length, octets;
static long number;
static int epoll;

static double now, measure_from, measure_until, first_reply, last_reply;
static long messages_done, messages_in_all;
static uint32_t *latencies; /* microseconds, of the messages that were counted */
static long latency_room;

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("lmtpload: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static double clock_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

/* -- what is said */

/* Lines of text of varied lengths, one in twenty with a dot in front, and the dot that ends the data. */
static void make_body(size_t size) {
    static const char words[] =
        "Nobody can tell whether there are three servers or one, and the clients change nothing at all.";
    body = malloc(size + size / 400 + 256); /* with the dots that are stuffed */
    if (!body)
        fail("no memory");
    for (int line = 1; body_length < size; line++) {
        size_t length = 24 + line * 37 % 52, left = size - body_length;
        if (left < length + 4)
            length = left;
        if (line % 20 == 0 && length > 4)
            body[body_length++] = '.'; /* stuffed: it does not count, the next one does */
        size += line % 20 == 0 && length > 4;
        size_t text = length > 2 ? length - 2 : 0;
        memcpy(body + body_length, words, text);
        if (line % 20 == 0 && length > 4)
            body[body_length] = '.';
        memcpy(body + body_length + text, "\r\n", 2);
        body_length += text + 2;
    }
    memcpy(body + body_length, ".\r\n", 3);
    body_length += 3;
}

static void flush(struct client *client) {
    while (client->sent < client->total) {
        struct iovec parts[2];
        int count = 0;
        size_t skipped = client->sent;
        if (skipped < client->head_length) {
            parts[count++] = (struct iovec){client->head + skipped, client->head_length - skipped};
            skipped = 0;
        } else
            skipped -= client->head_length;
        if (client->with_body)
            parts[count++] = (struct iovec){body + skipped, body_length - skipped};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
        ssize_t done = sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done < 0 && errno != EAGAIN)
            fail("cannot send: %s", strerror(errno));
        if (done < 0)
            break;
        client->sent += done;
    }
    bool writing = client->sent < client->total;
    if (writing != client->writing) {
        client->writing = writing;
        struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = client};
        epoll_ctl(epoll, EPOLL_CTL_MOD, client->fd, &event);
    }
}

static void say(struct client *client, size_t length, bool with_body, enum step step, int awaited) {
    client->head_length = length;
    client->with_body = with_body;
    client->sent = 0;
    client->total = length + (with_body ? body_length : 0);
    client->step = step;
    client->awaited = awaited;
    flush(client);
}

static void begin(struct client *client) {
    client->started = now;
    char *end = client->head + sprintf(client->head, "MAIL FROM:<sender%ld@sender.example>\r\n", number % 1000);
    for (int i = 0; i < recipients; i++) {
        end += sprintf(end, "RCPT TO:<%s>\r\n", addresses[next_address]);
        next_address = (next_address + 1) % address_count;
    }
    end += sprintf(end, "DATA\r\n");
    say(client, end - client->head, false, COMMANDS, 2 + recipients);
}

static int header(char *place) {
    return sprintf(place,
                   "From: Sender <sender@sender.example>\r\nTo: somebody@bench.example\r\n"
                   "Subject: Message %010ld\r\nMessage-ID: <%010ld.%08d@sender.example>\r\n"
                   "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
                   number, number, (int)getpid());
}

/* -- what is answered */

static void done(struct client *client) {
    messages_in_all++;
    if (now >= measure_from && now < measure_until) {
        if (messages_done == latency_room) {
            latency_room = latency_room ? 2 * latency_room : 1 << 16;
            latencies = realloc(latencies, latency_room * sizeof *latencies);
            if (!latencies)
                fail("no memory");
        }
        if (!messages_done)
            first_reply = now;
        last_reply = now;
        latencies[messages_done++] = (uint32_t)((now - client->started) * 1e6);
    }
    if (now < measure_until)
        begin(client);
    else {
        close(client->fd);
        client->fd = -1;
        alive--;
    }
}

static void reply(struct client *client, const char *line) {
    int code = atoi(line);
    if (line[3] == '-')
        return;
    if (code / 100 != 2 && !(code == 354 && client->step == COMMANDS && client->awaited == 1))
        fail("%s: %s", client->step == CONTENT ? "message" : "command", line);
    if (client->awaited == 0)
        fail("a reply that nothing asked for: %s", line);
    if (--client->awaited)
        return;
    switch (client->step) {
    case GREETING:
        say(client, sprintf(client->head, "LHLO bench.example\r\n"), false, LHLO, 1);
        return;
    case LHLO:
        begin(client);
        return;
    case COMMANDS:
        number++;
        say(client, header(client->head), true, CONTENT, recipients);
        return;
    case CONTENT:
        done(client);
    }
}

static void receive(struct client *client) {
    static char buffer[65536];
    ssize_t size = recv(client->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0)
        fail("the server hung up: %s", size ? strerror(errno) : "end of file");
    for (ssize_t i = 0; i < size; i++) {
        if (buffer[i] != '\n') {
            if (client->length + 2 > sizeof client->line)
                fail("a reply without end");
            client->line[client->length++] = buffer[i];
            continue;
        }
        client->line[client->length] = 0;
        client->length = 0;
        reply(client, client->line);
        if (client->fd < 0)
            return;
    }
}

/* -- the whole */

static void read_addresses(void) {
    char line[512];
    while (scanf("%511s", line) == 1) {
        if (!(address_count & (address_count - 1)))
            addresses = realloc(addresses, (address_count ? 2 * address_count : 1) * sizeof *addresses);
        addresses[address_count++] = strdup(line);
    }
    if (!address_count)
        fail("no addresses");
}

static void start(struct client *client, const char *path) {
    struct sockaddr_un server = {.sun_family = AF_UNIX};
    strncpy(server.sun_path, path, sizeof server.sun_path - 1);
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&server, sizeof server))
        fail("%s: %s", path, strerror(errno));
    client->head = malloc(1024 + recipients * 512);
    client->step = GREETING;
    client->awaited = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event);
}

static int ascending(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

static double percentile(double share) {
    return messages_done ? latencies[(size_t)(share * (messages_done - 1))] / 1e6 : 0;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int count, char **arguments) {
    if (count != 7) {
        fputs("usage: lmtpload SOCKET CONNECTIONS SECONDS WARM_UP OCTETS RECIPIENTS <ADDRESSES\n", stderr);
        return 64;
    }
    int connections = atoi(arguments[2]);
    double seconds = atof(arguments[3]), warm_up = atof(arguments[4]);
    octets = atol(arguments[5]);
    recipients = atoi(arguments[6]);
    read_addresses();
    char sample[1024];
    size_t head = header(sample);
    if (octets < head + 64)
        fail("a message has %zu octets at least", head + 64);
    make_body(octets - head);

    struct client *clients = calloc(connections, sizeof *clients);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    now = clock_now();
    measure_from = now + warm_up;
    measure_until = measure_from + seconds;
    for (; alive < connections; alive++)
        start(&clients[alive], arguments[1]);
    while (alive) {
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, 100);
        now = clock_now();
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                flush(client);
            if (events[i].events & ~EPOLLOUT)
                receive(client);
        }
        if (now > measure_until + GRACE)
            fail("%d connections have not ended", alive);
    }
    qsort(latencies, messages_done, sizeof *latencies, ascending);
    printf("{\"messages\": %ld, \"seconds\": %.6f, \"p50\": %.6f, \"p99\": %.6f, \"in_all\": %ld, "
           "\"load_cpu\": %.6f}\n",
           messages_done > 1 ? messages_done - 1 : 0, messages_done > 1 ? last_reply - first_reply : 1,
           percentile(0.50), percentile(0.99), messages_in_all, cpu_seconds());
    return 0;
}

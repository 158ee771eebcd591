/* pop3load - keep a POP3 server busy, and measure it
 *
 * usage: pop3load SCRIPT ADDRESS PORT CONNECTIONS SECONDS WARM_UP [tls] <ACCOUNTS
 *
 * SCRIPT is what each session says:
 *
 *   poll   USER, PASS, STAT, QUIT
 *   fetch  USER, PASS, STAT, UIDL, LIST, RETR of every message, QUIT
 *   big    USER, PASS, RETR of every message, QUIT
 *   idle   USER, PASS; and then nothing, until standard output is read no longer
 *   wrong  USER, PASS with a password that is another one each time and never right, QUIT
 *
 * ACCOUNTS are lines of LOGIN PASSWORD MESSAGES OCTETS, all messages of an account being of as many octets (as RFC
 * 1939 section 11 counts them). They are used in turn, each by one session at a time. A reply other than +OK, a STAT
 * that says other than that, a listing of other length, a message of other size: all end the program with status 1.
 * With `wrong` it is the other way about: a login that goes well ends it.
 *
 * With `tls`, all of it is under TLS from the first octet on, each session with a handshake of its own: none is resumed.
 *
 * CONNECTIONS sessions are held open at any moment; when one ends, the next begins. What happens in the first WARM_UP
 * seconds is not counted, then it is counted for SECONDS. What is under way then may end, so that no maildrop stays
 * locked. Source addresses go round in 127.64.0.0/10, so that ports do not run out. With `idle`, SECONDS is the
 * longest time in which all sessions have to be logged in.
 *
 * One line of JSON tells the result: sessions, messages and octets of the time that counts, the latency of those
 * sessions from connect to the reply to QUIT; and of the whole time, all sessions and our own seconds of CPU. One
 * thread, one epoll: the less it costs, the more is left for the server.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum script { POLL, FETCH, BIG, IDLE, WRONG };
enum step { GREETING, USER, PASS, STAT, UIDL, LIST, RETR, QUIT };

static const char *const script_names[] = {"poll", "fetch", "big", "idle", "wrong"};
static const char *const step_names[] = {"greeting", "USER", "PASS", "STAT", "UIDL", "LIST", "RETR", "QUIT"};

struct account {
    char *login, *password;
    long messages, octets;
};

struct session {
    int fd;
    SSL *tls;           /* NULL: in clear */
    bool secured;       /* its handshake is done */
    enum step step;
    int account;
    long message;       /* that RETR fetches, from 1 */
    double started;
    char line[512];     /* the reply's first line as far as it has come */
    unsigned length;
    bool multiline;     /* its first line is there: what comes now are the others */
    long lines, octets; /* of those */
    unsigned column;    /* octets of the line that has begun */
    char head[3];       /* the first of them */
};

#define GRACE 20 /* seconds beyond which a session that has not ended never will */
#define ADDRESSES 250

static enum script script;
static struct sockaddr_in server;
static struct account *accounts;
static int account_count;
static int *unused, unused_head, unused_count; /* accounts, a ring */
static int epoll;
static SSL_CTX *tls; /* NULL: in clear */
static char buffer[1 << 18];

static double now, measure_from, measure_until;
static long sessions_done, messages_done, octets_done, sessions_in_all;
static uint32_t *latencies; /* microseconds, of the sessions that were counted */
static size_t latency_room;
static int open_sessions, idle_sessions;

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("pop3load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static double clock_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static bool counting(void) { return now >= measure_from && now < measure_until; }

/* -- sessions */

static void begin(struct session *session) {
    if (!unused_count)
        fail("more connections than accounts");
    int account = unused[unused_head];
    unused_head = (unused_head + 1) % account_count;
    unused_count--;

    static uint32_t turn;
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(0x7f400001 + turn++ % ADDRESSES * 256);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
    if (fd < 0)
        fail("socket: %s", strerror(errno));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&source, sizeof source))
        fail("bind: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    /* Under TLS it is we who begin, as soon as the connection is there. */
    struct epoll_event event = {.events = tls ? EPOLLOUT : EPOLLIN, .data.ptr = session};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    *session = (struct session){.fd = fd, .step = GREETING, .account = account, .started = now};
    if (tls) {
        session->tls = SSL_new(tls);
        SSL_set_fd(session->tls, fd);
        SSL_set_connect_state(session->tls);
    }
    open_sessions++;
}

static void end(struct session *session) {
    SSL_free(session->tls);
    session->tls = NULL;
    close(session->fd);
    session->fd = -1;
    unused[(unused_head + unused_count++) % account_count] = session->account;
    open_sessions--;
    sessions_in_all++;
    if (!counting())
        return;
    if ((size_t)sessions_done == latency_room) {
        latency_room = latency_room ? 2 * latency_room : 1 << 16;
        latencies = realloc(latencies, latency_room * sizeof *latencies);
        if (!latencies)
            fail("no memory");
    }
    latencies[sessions_done++] = (uint32_t)((now - session->started) * 1e6);
}

static void say(struct session *session, const char *format, ...) {
    char line[600];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    ssize_t sent = session->tls ? SSL_write(session->tls, line, length)
                                : send(session->fd, line, length, MSG_NOSIGNAL);
    if (sent != length)
        fail("%s: cannot send: %s", step_names[session->step], strerror(errno));
}

/* What follows a good reply. */
static void go_on(struct session *session) {
    const struct account *account = &accounts[session->account];
    switch (session->step) {
    case GREETING:
        session->step = USER;
        say(session, "USER %s\r\n", account->login);
        return;
    case USER:
        session->step = PASS;
        if (script == WRONG) {
            static unsigned long guess;
            say(session, "PASS %lu-%s\r\n", guess++, account->password);
        } else
            say(session, "PASS %s\r\n", account->password);
        return;
    case PASS:
        if (script == IDLE) {
            idle_sessions++;
            return;
        }
        if (script == WRONG)
            goto quit;
        if (script != BIG) {
            session->step = STAT;
            say(session, "STAT\r\n");
            return;
        }
        break;
    case STAT:
        if (script == POLL)
            goto quit;
        session->step = UIDL;
        say(session, "UIDL\r\n");
        return;
    case UIDL:
        session->step = LIST;
        say(session, "LIST\r\n");
        return;
    case LIST:
        break;
    case RETR:
        if (counting())
            messages_done++;
        break;
    case QUIT:
        end(session);
        return;
    }
    if (session->message < account->messages) {
        session->step = RETR;
        say(session, "RETR %ld\r\n", ++session->message);
        return;
    }
quit:
    session->step = QUIT;
    say(session, "QUIT\r\n");
}

/* -- replies */

static void check_status(struct session *session) {
    const struct account *account = &accounts[session->account];
    bool refused = script == WRONG && session->step == PASS;
    if (strncmp(session->line, refused ? "-ERR" : "+OK", refused ? 4 : 3))
        fail("%s of %s: %.*s", step_names[session->step], account->login, (int)strcspn(session->line, "\r\n"),
             session->line);
    if (session->step == STAT) {
        long messages = -1, octets = -1;
        sscanf(session->line, "+OK %ld %ld", &messages, &octets);
        if (messages != account->messages || octets != account->messages * account->octets)
            fail("STAT of %s: %ld messages of %ld octets in all, instead of %ld of %ld", account->login, messages,
                 octets, account->messages, account->messages * account->octets);
    }
}

static void check_listing(struct session *session) {
    const struct account *account = &accounts[session->account];
    if (session->step == RETR) {
        if (session->octets != account->octets)
            fail("RETR %ld of %s: %ld octets instead of %ld", session->message, account->login, session->octets,
                 account->octets);
    } else if (session->lines != account->messages)
        fail("%s of %s: %ld lines instead of %ld", step_names[session->step], account->login, session->lines,
             account->messages);
}

/* Take the rest of a multi-line reply; the octets taken, or -1 when more is to come. */
static ssize_t take_lines(struct session *session, const char *data, size_t size) {
    size_t position = 0;
    while (position < size) {
        const char *start = data + position, *feed = memchr(start, '\n', size - position);
        size_t length = feed ? (size_t)(feed - start) + 1 : size - position;
        for (size_t i = 0; i < length && session->column + i < 3; i++)
            session->head[session->column + i] = start[i];
        session->column += length;
        position += length;
        if (!feed)
            return -1;
        if (session->column == 3 && !memcmp(session->head, ".\r\n", 3)) {
            session->column = 0;
            return position;
        }
        session->lines++;
        session->octets += session->column - (session->head[0] == '.');
        session->column = 0;
    }
    return -1;
}

static bool is_multiline(enum step step) { return step == UIDL || step == LIST || step == RETR; }

/* As recv(2), through TLS where there is TLS; -1 with EAGAIN: nothing now. */
static ssize_t take(struct session *session) {
    if (!session->tls)
        return recv(session->fd, buffer, sizeof buffer, 0);
    int result = session->secured ? SSL_read(session->tls, buffer, sizeof buffer) : SSL_do_handshake(session->tls);
    if (result > 0 && !session->secured) {
        session->secured = true;
        result = SSL_read(session->tls, buffer, sizeof buffer);
    }
    if (result > 0)
        return result;
    switch (SSL_get_error(session->tls, result)) {
    case SSL_ERROR_WANT_READ:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_SSL:
        fail("TLS: %s", ERR_error_string(ERR_get_error(), NULL));
    }
    return result;
}

/* Take what has come; whether there may be more at once. */
static bool receive(struct session *session) {
    ssize_t size = take(session);
    if (size < 0 && errno == EAGAIN)
        return false;
    if (size <= 0)
        fail("%s of %s: %s", step_names[session->step], accounts[session->account].login,
             size ? strerror(errno) : "connection closed");
    if (counting())
        octets_done += size;
    const char *data = buffer;
    if (!session->multiline) {
        const char *feed = memchr(data, '\n', size);
        size_t length = feed ? (size_t)(feed - data) + 1 : (size_t)size;
        if (session->length + length >= sizeof session->line)
            fail("%s: a reply without end", step_names[session->step]);
        memcpy(session->line + session->length, data, length);
        session->length += length;
        session->line[session->length] = 0;
        if (!feed)
            return true;
        check_status(session);
        session->length = 0;
        data += length;
        size -= length;
        if (is_multiline(session->step)) {
            session->multiline = true;
            session->lines = session->octets = 0;
            session->column = 0;
        }
    }
    if (session->multiline) {
        ssize_t taken = take_lines(session, data, size);
        if (taken < 0)
            return true;
        check_listing(session);
        session->multiline = false;
        size -= taken;
    }
    if (size)
        fail("%s: %zd octets that nobody asked for", step_names[session->step], size);
    go_on(session);
    return session->tls != NULL; /* NULL, too: at its end */
}

/* -- the whole */

static void read_accounts(void) {
    char login[256], password[256];
    long messages, octets;
    while (scanf("%255s %255s %ld %ld", login, password, &messages, &octets) == 4) {
        if (!(account_count & (account_count - 1)))
            accounts = realloc(accounts, (account_count ? 2 * account_count : 1) * sizeof *accounts);
        accounts[account_count++] = (struct account){strdup(login), strdup(password), messages, octets};
    }
    unused = malloc((account_count + 1) * sizeof *unused);
    for (int i = 0; i < account_count; i++)
        unused[i] = i;
    unused_count = account_count;
}

static int ascending(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

static double percentile(double share) {
    return sessions_done ? latencies[(size_t)(share * (sessions_done - 1))] / 1e6 : 0;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void hold(void) {
    printf("{\"sessions\": %d, \"seconds\": %.6f}\n", idle_sessions, now - measure_from);
    fflush(stdout);
    struct pollfd reader = {.fd = STDOUT_FILENO};
    poll(&reader, 1, -1); /* POLLERR: whoever reads our output has closed it */
}

int main(int count, char **arguments) {
    if (count != 7 && !(count == 8 && !strcmp(arguments[7], "tls"))) {
        fputs("usage: pop3load poll|fetch|big|idle|wrong ADDRESS PORT CONNECTIONS SECONDS WARM_UP [tls] <ACCOUNTS\n",
              stderr);
        return 64;
    }
    while (script < WRONG && strcmp(arguments[1], script_names[script]))
        script++;
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(arguments[3]))};
    if (inet_pton(AF_INET, arguments[2], &server.sin_addr) != 1)
        fail("%s is not an address", arguments[2]);
    int connections = atoi(arguments[4]), begun = 0;
    double seconds = atof(arguments[5]), warm_up = atof(arguments[6]);
    read_accounts();
    signal(SIGPIPE, SIG_IGN);
    if (count == 8) {
        tls = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    }

    struct session *sessions = calloc(connections, sizeof *sessions);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    now = clock_now();
    measure_from = now + warm_up;
    measure_until = measure_from + seconds;
    for (;;) {
        /* Logins by the thousand at one moment would only measure the queue of the listening socket. */
        while (begun < connections && (script != IDLE || open_sessions - idle_sessions < 64))
            begin(&sessions[begun++]);
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, 100);
        now = clock_now();
        for (int i = 0; i < ready; i++) {
            struct session *session = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};
                epoll_ctl(epoll, EPOLL_CTL_MOD, session->fd, &event);
            }
            /* What TLS has read of a record no epoll tells of: take all of it. */
            while (receive(session) && session->tls)
                ;
            if (session->fd < 0 && now < measure_until)
                begin(session);
        }
        if (script == IDLE && idle_sessions == connections) {
            hold();
            return 0;
        }
        if (!open_sessions)
            break;
        if (now > measure_until + GRACE)
            fail("%d sessions have not ended", open_sessions);
    }
    qsort(latencies, sessions_done, sizeof *latencies, ascending);
    printf("{\"sessions\": %ld, \"messages\": %ld, \"octets\": %ld, \"seconds\": %.6f, \"p50\": %.6f, \"p99\": %.6f, "
           "\"sessions_in_all\": %ld, \"load_cpu\": %.6f}\n",
           sessions_done, messages_done, octets_done, seconds, percentile(0.50), percentile(0.99), sessions_in_all,
           cpu_seconds());
    return 0;
}

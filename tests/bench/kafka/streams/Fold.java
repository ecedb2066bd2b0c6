import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.InvalidStateStoreException;
import org.apache.kafka.streams.errors.LogAndContinueExceptionHandler;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * The latest status of each router, folded from the events of a topic: exactly once, in a RocksDB store with its changelog, told
 * over HTTP.
 *
 * <p>It keeps less than Tandem's own fold does: of the changes of a link the latest state, cause and APN; no ranges of what is
 * missing, no clocks, no other kinds of events. What comes late counts as a double.
 */
public final class Fold {
    private static final String STORE = "routers";
    private static final String LINK_CHANGED = "io.tandem.link.changed.v1";
    private static final String ROUTERS = "/routers/";
    private static final Duration CLOSE_PATIENCE = Duration.ofSeconds(30);
    private static final int HTTP_THREADS = 2;

    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 6) {
            System.err.println("SERVERS TOPIC APPLICATION FOLDER THREADS PORT");
            System.exit(2);
        }
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[2]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[3]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, arguments[4]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        // What is no event is left out and logged; else the first one would end the fold.
        settings.put(
                StreamsConfig.DESERIALIZATION_EXCEPTION_HANDLER_CLASS_CONFIG, LogAndContinueExceptionHandler.class);

        KafkaStreams streams = new KafkaStreams(topology(arguments[1]), settings);
        CountDownLatch failed = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.ERROR) failed.countDown();
        });
        // Else the group would wait for us until the session times out (45 s), and so would our next start.
        CloseOptions close = CloseOptions.timeout(CLOSE_PATIENCE)
                .withGroupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(close)));

        System.out.println("port\t" + serve(streams, Integer.parseInt(arguments[5])));
        streams.start();
        failed.await();
        System.exit(1);
    }

    private static Topology topology(String topic) {
        // Without the cache that the DSL would put in front: when each router speaks as often as the next one, it only costs.
        StoreBuilder<KeyValueStore<String, Router>> store =
                Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(STORE), Serdes.String(), routers());
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(topic, Consumed.with(Serdes.String(), events()))
                .process(new ProcessorSupplier<String, Event, Void, Void>() {
                    @Override
                    public Processor<String, Event, Void, Void> get() {
                        return new Folding();
                    }

                    @Override
                    public Set<StoreBuilder<?>> stores() {
                        return Set.of(store);
                    }
                });
        return builder.build();
    }

    // What comes in.

    /** Place and time of an event in the life of its router. */
    record Stamp(long epoch, long sequence, String time) {
        boolean isAfter(Stamp other) {
            int epochs = Long.compareUnsigned(epoch, other.epoch);
            return epochs > 0 || epochs == 0 && Long.compareUnsigned(sequence, other.sequence) > 0;
        }
    }

    /** A change of a link, as far as it is folded. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    record LinkChanged(String to, String cause, String apn) {}

    /** An event; the change is null in all that tell of something else. */
    record Event(Stamp stamp, String link, LinkChanged changed) {}

    /** CloudEvents in binary mode: the attributes are headers, the value is the data. */
    private static Serde<Event> events() {
        ObjectReader changes = JSON.readerFor(LinkChanged.class);
        return Serdes.serdeFrom(
                (topic, event) -> {
                    throw new UnsupportedOperationException("events are only read");
                },
                new Deserializer<Event>() {
                    @Override
                    public Event deserialize(String topic, byte[] data) {
                        throw new SerializationException("without headers it is no event");
                    }

                    @Override
                    public Event deserialize(String topic, Headers headers, byte[] data) {
                        Stamp stamp = new Stamp(
                                Long.parseUnsignedLong(attribute(headers, "ce_epoch"), 16),
                                Long.parseUnsignedLong(attribute(headers, "ce_sequence")),
                                attribute(headers, "ce_time"));
                        if (!attribute(headers, "ce_type").equals(LINK_CHANGED)) return new Event(stamp, null, null);
                        try {
                            return new Event(stamp, attribute(headers, "ce_subject"), changes.readValue(data));
                        } catch (IOException error) {
                            throw new SerializationException("the data is no change of a link", error);
                        }
                    }
                });
    }

    private static String attribute(Headers headers, String name) {
        Header header = headers.lastHeader(name);
        if (header == null) throw new SerializationException("an event has a header " + name);
        return new String(header.value(), StandardCharsets.UTF_8);
    }

    // What is kept.

    /** The latest word on one thing, and whose word it is. */
    record Latest(String value, Stamp stamp) {}

    /** What is known of a link. */
    static final class Link {
        public Latest state;
        public Latest cause;
        public Latest apn;
        /** Since when it is in its state. */
        public String since;

        void apply(Stamp stamp, LinkChanged changed) {
            if (state == null || !state.value.equals(changed.to)) since = stamp.time;
            state = new Latest(changed.to, stamp);
            cause = new Latest(changed.cause, stamp);
            if (changed.apn != null) apn = new Latest(changed.apn, stamp);
        }
    }

    /** What is known of a router. */
    static final class Router {
        public Map<String, Link> links = new TreeMap<>();
        /** The last event taken in. */
        public Stamp last;
        public long received;
        /** Left out by their sequence. */
        public long doubles;
        /** When Kafka last stored an event of it. */
        public long heardAtMs;

        void apply(Event event, long storedAtMs) {
            heardAtMs = Math.max(heardAtMs, storedAtMs);
            if (last != null && !event.stamp.isAfter(last)) {
                doubles++;
                return;
            }
            last = event.stamp;
            received++;
            if (event.changed != null) {
                links.computeIfAbsent(event.link, name -> new Link()).apply(event.stamp, event.changed);
            }
        }
    }

    private static Serde<Router> routers() {
        ObjectReader reader = JSON.readerFor(Router.class);
        ObjectWriter writer = JSON.writerFor(Router.class);
        return Serdes.serdeFrom(
                (topic, router) -> {
                    try {
                        return router == null ? null : writer.writeValueAsBytes(router);
                    } catch (IOException error) {
                        throw new SerializationException(error);
                    }
                },
                (topic, data) -> {
                    try {
                        return data == null ? null : reader.readValue(data);
                    } catch (IOException error) {
                        throw new SerializationException(error);
                    }
                });
    }

    private static final class Folding implements Processor<String, Event, Void, Void> {
        private KeyValueStore<String, Router> store;

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            store = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<String, Event> record) {
            if (record.key() == null || record.value() == null) return;
            Router router = store.get(record.key());
            if (router == null) router = new Router();
            router.apply(record.value(), record.timestamp());
            store.put(record.key(), router);
        }
    }

    // What is told.

    /** Answers over HTTP, 503 while the store cannot be asked. Returns the port. */
    private static int serve(KafkaStreams streams, int port) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
        server.setExecutor(Executors.newFixedThreadPool(HTTP_THREADS));
        server.createContext(ROUTERS, answer(streams, (store, path) -> store.get(path.substring(ROUTERS.length()))));
        server.start();
        return server.getAddress().getPort();
    }

    /** Asks the store; null is not found. */
    private interface Question {
        Object ask(ReadOnlyKeyValueStore<String, Router> store, String path);
    }

    private static HttpHandler answer(KafkaStreams streams, Question question) {
        return exchange -> {
            try (exchange) {
                Object found;
                try {
                    found = question.ask(
                            streams.store(StoreQueryParameters.fromNameAndType(
                                    STORE, QueryableStoreTypes.<String, Router>keyValueStore())),
                            exchange.getRequestURI().getPath());
                } catch (InvalidStateStoreException | IllegalStateException notNow) {
                    send(exchange, 503, Map.of("error", String.valueOf(notNow.getMessage())));
                    return;
                }
                if (found == null) send(exchange, 404, Map.of("error", "not found"));
                else send(exchange, 200, found);
            }
        };
    }

    private static void send(HttpExchange exchange, int status, Object body) throws IOException {
        byte[] bytes = JSON.writeValueAsBytes(body);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, bytes.length);
        exchange.getResponseBody().write(bytes);
    }
}

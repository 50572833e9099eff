import jakarta.servlet.ServletContextEvent;
import jakarta.servlet.ServletContextListener;
import jakarta.websocket.OnClose;
import jakarta.websocket.OnError;
import jakarta.websocket.OnMessage;
import jakarta.websocket.OnOpen;
import jakarta.websocket.Session;
import jakarta.websocket.server.PathParam;
import jakarta.websocket.server.ServerContainer;
import jakarta.websocket.server.ServerEndpoint;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.logging.Level;
import java.util.logging.LogManager;
import java.util.logging.Logger;
import org.apache.catalina.Context;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.servlets.DefaultServlet;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.websocket.server.WsSci;

/** Rooms by Tomcat's WebSocket endpoints: a loop over the members with a blocking send, as in its example {@code ChatAnnotation}. */
public final class Rooms {
    private static final int BACKLOG = 4096;
    /** Tomcat's own bound is 8,192, and 10,000 are measured. */
    private static final int CONNECTIONS = 20_000;

    private Rooms() {
    }

    public static void main(String[] arguments) throws Exception {
        LogManager.getLogManager().reset();
        Logger.getLogger("").setLevel(Level.OFF);
        Path folder = Files.createTempDirectory("madang-peers-");
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(folder.toString());
        tomcat.setPort(0);
        Connector connector = tomcat.getConnector();
        connector.setProperty("address", "127.0.0.1");
        connector.setProperty("acceptCount", Integer.toString(BACKLOG));
        connector.setProperty("maxConnections", Integer.toString(CONNECTIONS));
        Context context = tomcat.addContext("", folder.toString());
        context.addServletContainerInitializer(new WsSci(), null);
        context.addApplicationListener(Endpoints.class.getName());
        // A filter answers the handshakes, and filters are asked only where there is a servlet.
        Tomcat.addServlet(context, "default", new DefaultServlet());
        context.addServletMappingDecoded("/", "default");
        tomcat.start();
        System.out.println("127.0.0.1:" + connector.getLocalPort());
        tomcat.getServer().await();
    }

    public static final class Endpoints implements ServletContextListener {
        @Override
        public void contextInitialized(ServletContextEvent event) {
            ServerContainer container =
                (ServerContainer) event.getServletContext().getAttribute(ServerContainer.class.getName());
            try {
                container.addEndpoint(Echo.class);
                container.addEndpoint(Room.class);
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        }
    }

    @ServerEndpoint("/echo")
    public static final class Echo {
        @OnMessage
        public void onMessage(Session session, String message) throws IOException {
            session.getBasicRemote().sendText(message);
        }

        @OnError
        public void onError(Throwable error) {
            // A client that hangs up is no news.
        }
    }

    @ServerEndpoint("/rooms/{room}")
    public static final class Room {
        private static final Map<String, Set<Room>> ROOMS = new ConcurrentHashMap<>();
        private Set<Room> members;
        private Session session;

        @OnOpen
        public void onOpen(Session session, @PathParam("room") String room) {
            this.session = session;
            members = ROOMS.computeIfAbsent(room, name -> ConcurrentHashMap.newKeySet());
            members.add(this);
        }

        @OnMessage
        public void onMessage(String message) {
            for (Room member : members) {
                try {
                    // Two threads must not send to one session at a time.
                    synchronized (member) {
                        member.session.getBasicRemote().sendText(message);
                    }
                } catch (IOException error) {
                    members.remove(member);
                }
            }
        }

        @OnClose
        public void onClose() {
            members.remove(this);
        }

        @OnError
        public void onError(Throwable error) {
            members.remove(this);
        }
    }
}

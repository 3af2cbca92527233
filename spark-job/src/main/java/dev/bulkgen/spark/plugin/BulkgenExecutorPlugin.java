package dev.bulkgen.spark.plugin;

import java.io.IOException;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;

/**
 * An executor's part. {@link #init} throws nothing: Spark would start the executor again for ever.
 */
final class BulkgenExecutorPlugin implements ExecutorPlugin {
  private static final Logger LOG = LogManager.getLogger(BulkgenExecutorPlugin.class);
  private static final long REPORT_SECONDS = 5;

  private ScheduledExecutorService clock;

  @Override
  public void init(PluginContext context, Map<String, String> fromDriver) {
    AssignedGpu.know(context.resources());
    DeviceLoss.tell(cause -> tellDriver(context, cause));
    EngineGauges.register(context.metricRegistry(), "", EngineHolder::figures);
    clock =
        Executors.newSingleThreadScheduledExecutor(
            work -> {
              Thread thread = new Thread(work, "bulkgen-reports");
              thread.setDaemon(true);
              return thread;
            });
    clock.scheduleWithFixedDelay(
        () -> report(context), REPORT_SECONDS, REPORT_SECONDS, TimeUnit.SECONDS);
    EngineSpec.fromMap(fromDriver).ifPresent(EngineHolder::start);
  }

  private static void report(PluginContext context) {
    EngineHolder.report()
        .ifPresent(
            report -> {
              try {
                context.send(report);
              } catch (IOException | RuntimeException e) {
                // The driver may be gone or busy; the next report says more than this one.
                LOG.debug("the driver did not take a report", e);
              }
            });
  }

  private static void tellDriver(PluginContext context, String cause) {
    try {
      // The context's own host name is for drivers: on an executor it throws.
      String host = SparkEnv.get().blockManager().blockManagerId().host();
      context.ask(new BulkgenDriverPlugin.Loss(context.executorID(), host, cause));
    } catch (Exception e) {
      // Its exit code tells the driver as well.
      LOG.error("the driver could not be told of the lost device", e);
    }
  }

  @Override
  public void shutdown() {
    try {
      clock.shutdownNow();
    } finally {
      EngineHolder.closeAll();
    }
  }
}

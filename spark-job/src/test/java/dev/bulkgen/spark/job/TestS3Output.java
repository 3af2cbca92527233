package dev.bulkgen.spark.job;

import com.robothy.s3.rest.LocalS3;
import java.net.URI;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.s3.S3Client;

/** S3A against a server in this process; it ignores the condition of a put, as some stores do. */
class TestS3Output extends AbstractTestRemoteOutput {
  private static final String BUCKET = "results";

  private static LocalS3 server;

  @BeforeAll
  static void start() {
    server = LocalS3.builder().port(-1).build();
    server.start();
    try (S3Client client =
        S3Client.builder()
            .endpointOverride(URI.create(endpoint()))
            .forcePathStyle(true)
            .region(Region.US_EAST_1)
            .credentialsProvider(
                StaticCredentialsProvider.create(AwsBasicCredentials.create("key", "secret")))
            .build()) {
      client.createBucket(bucket -> bucket.bucket(BUCKET));
    }
  }

  @AfterAll
  static void stop() {
    server.shutdown();
  }

  private static String endpoint() {
    return "http://127.0.0.1:" + server.getPort();
  }

  @Override
  String root() {
    return "s3a://" + BUCKET + "/";
  }

  @Override
  Map<String, String> settings() {
    return Map.of(
        "fs.s3a.endpoint", endpoint(),
        "fs.s3a.endpoint.region", "us-east-1",
        "fs.s3a.path.style.access", "true",
        "fs.s3a.aws.credentials.provider", "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        "fs.s3a.access.key", "key",
        "fs.s3a.secret.key", "secret");
  }
}

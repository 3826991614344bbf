"""The page inside Airflow: an app that shows what the bucket holds, to whom Airflow lets see it. It changes nothing
itself: what runs is asked of Airflow. Nothing here is imported before the first request.
"""
